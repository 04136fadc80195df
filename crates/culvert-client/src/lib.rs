//! An OpenVPN client as a state machine without I/O, for simulations and load generation.
