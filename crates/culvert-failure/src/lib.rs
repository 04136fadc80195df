//! An error and its causes as one line for people. It decides nothing about errors and knows none of them.

use std::error::Error;

/// The error and its causes, outermost first, each said once: many errors name their cause in their own text.
pub fn describe(error: &(impl AsRef<dyn Error> + ?Sized)) -> String {
    let outermost: &(dyn Error + 'static) = error.as_ref();
    let mut text = outermost.to_string();
    let mut next = outermost.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen on {address}: {source}")]
    struct Listen {
        address: &'static str,
        source: io::Error,
    }

    fn listen() -> Listen {
        Listen {
            address: "127.0.0.1:8443",
            source: io::Error::other("Address already in use"),
        }
    }

    #[test]
    fn a_cause_that_the_text_holds_is_not_said_again() {
        let error = anyhow::Error::new(listen());
        assert_eq!(
            format!("{error:#}"),
            "cannot listen on 127.0.0.1:8443: Address already in use: Address already in use",
            "this is what it is for"
        );
        assert_eq!(
            describe(&error),
            "cannot listen on 127.0.0.1:8443: Address already in use"
        );
    }

    #[test]
    fn causes_that_nobody_named_follow_in_order() {
        let error = Err::<(), _>(listen())
            .context("Failed to serve the API")
            .context("Failed to start")
            .unwrap_err();
        assert_eq!(
            describe(&error),
            "Failed to start: Failed to serve the API: cannot listen on 127.0.0.1:8443: Address already in use"
        );
        let alone = anyhow::anyhow!("nothing to do");
        assert_eq!(describe(&alone), "nothing to do");
    }
}
