//! Certificate authority operations and client profiles.
