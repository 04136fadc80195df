//! The culvert.toml configuration file: parsed and validated once, with errors that name line and cure.
