//! The administration protocol of the Unix socket: requests, answers and a client.
