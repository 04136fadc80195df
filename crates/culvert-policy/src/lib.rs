//! Authorization rules compiled for the packet path: default deny, longest prefix.
