//! A text for the person at the client, as pushed options.

/// The banner as `echo msg…` commands, which graphical clients show and others ignore. The text is
/// percent-encoded, since commas and quotes have meanings of their own in a pushed option.
pub(super) fn banner_options(text: &str) -> Vec<String> {
    /// Encoded bytes per option; the whole option may have 255 characters.
    const CHUNK: usize = 200;
    let mut options = Vec::new();
    for line in text.lines() {
        let mut chunk = String::new();
        for character in line.chars() {
            let encoded = percent_encoded(character);
            if chunk.len() + encoded.len() > CHUNK {
                options.push(format!("echo msg-n {chunk}"));
                chunk.clear();
            }
            chunk.push_str(&encoded);
        }
        options.push(format!("echo msg {chunk}"));
    }
    if !options.is_empty() {
        options.push("echo msg-window Notice".into());
    }
    options
}

fn percent_encoded(character: char) -> String {
    if character.is_ascii_alphanumeric() || ".-_:;/!?@()+*=<>[]".contains(character) {
        return character.into();
    }
    let mut bytes = [0; 4];
    character
        .encode_utf8(&mut bytes)
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_survives_commas_quotes_and_length() {
        let text = format!("Stay, \"friend\"\n{}", "ä".repeat(500));
        let options = banner_options(&text);
        assert_eq!(options[0], "echo msg Stay%2C%20%22friend%22");
        assert!(
            options
                .iter()
                .all(|option| option.len() <= 255 && !option.contains(','))
        );
        assert_eq!(options.last().unwrap(), "echo msg-window Notice");
    }
}
