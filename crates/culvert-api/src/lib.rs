//! The API endpoints are managed through, as the official tools speak it, over HTTP.

#![forbid(unsafe_code)]
