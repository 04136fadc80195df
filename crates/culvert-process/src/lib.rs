//! Asking programs outside within bounds: how long they may take, how much they may say, how many are asked at a time.
//! Knows nothing of what they are asked about.
//!
//! - [`Program`] is one that was found fit to be run; [`Program::run`] runs it once.
//! - [`Gate`] bounds how much of such slow work is done at a time, whatever the work is.
//! - [`take_over`] waits for what a killed predecessor left to a program it was just starting.

#![forbid(unsafe_code)]

mod gate;
mod program;
mod run;
mod takeover;

pub use gate::Gate;
pub use program::{Program, UnfitProgram};
pub use run::{Ended, Run, Terms};
pub use takeover::take_over;
