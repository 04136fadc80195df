//! Lines with a length limit over any byte stream.

use std::io;

use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

/// What reading one line gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A whole line, without its newline, in the caller's buffer.
    Complete,
    /// The stream ended before a line began.
    End,
    /// The line is longer than the limit; the rest was not read.
    TooLong,
}

/// Reads one line into `line` (cleared first), at most `limit` bytes with its newline.
pub(crate) async fn read_line(
    stream: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Line> {
    line.clear();
    loop {
        let available = stream.fill_buf().await?;
        if available.is_empty() {
            // A last line without newline is a peer that died while writing.
            return if line.is_empty() {
                Ok(Line::End)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let wanted = end.map_or(available.len(), |index| index + 1);
        if line.len() + wanted > limit {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(available.get(..end.unwrap_or(wanted)).unwrap_or_default());
        stream.consume(wanted);
        if end.is_some() {
            return Ok(Line::Complete);
        }
    }
}

/// One JSON document and its newline, or `None` if that exceeds `limit` bytes.
pub(crate) fn encode_line(message: &impl Serialize, limit: usize) -> serde_json::Result<Option<Vec<u8>>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok((line.len() <= limit).then_some(line))
}

/// Writes a line that [`encode_line`] made.
pub(crate) async fn write_line(stream: &mut (impl AsyncWrite + Unpin), line: &[u8]) -> io::Result<()> {
    stream.write_all(line).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::BufReader;

    async fn lines(input: &[u8], limit: usize) -> Vec<Result<String, Line>> {
        let mut reader = BufReader::with_capacity(3, input);
        let (mut all, mut line) = (Vec::new(), Vec::new());
        loop {
            match read_line(&mut reader, &mut line, limit).await {
                Ok(Line::Complete) => all.push(Ok(String::from_utf8(line.clone()).unwrap())),
                Ok(other) => {
                    all.push(Err(other));
                    return all;
                }
                Err(_) => return all,
            }
        }
    }

    #[tokio::test]
    async fn lines_are_cut_at_newlines_whatever_the_buffer_size() {
        assert_eq!(
            lines(b"abcdefg\n\nx\n", 8).await,
            [
                Ok("abcdefg".into()),
                Ok(String::new()),
                Ok("x".into()),
                Err(Line::End)
            ]
        );
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_not_collected() {
        assert_eq!(lines(b"abcdefgh\n", 8).await, [Err(Line::TooLong)]);
        assert_eq!(lines(&[b'a'; 100_000], 8).await, [Err(Line::TooLong)]);
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_an_error() {
        assert_eq!(lines(b"ok\nabc", 8).await, [Ok("ok".into())]);
    }
}
