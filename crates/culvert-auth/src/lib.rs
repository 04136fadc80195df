//! Login backends: the local users file and external commands.
