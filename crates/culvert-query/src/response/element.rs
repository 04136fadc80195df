//! An element that is being written.

use std::borrow::Cow;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesRef, BytesStart, BytesText, Event};
use time::OffsetDateTime;

use super::TimeFormat;
use crate::encoding::is_xml_char;

/// An element that is being written: members are added in the order of the calls.
///
/// What isn't added is absent for an SDK; an empty list is not the same as none.
pub struct Element<'w> {
    writer: &'w mut Writer<Vec<u8>>,
}

/// A whole document with this root.
pub(super) fn document(root: &str, namespace: Option<&str>, write: impl FnOnce(&mut Element<'_>)) -> Vec<u8> {
    let mut writer = Writer::new(Vec::with_capacity(1024));
    let mut document = Element { writer: &mut writer };
    document.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
    document.event(Event::Text(BytesText::new("\n")));
    let mut start = BytesStart::new(root);
    if let Some(namespace) = namespace {
        start.push_attribute(("xmlns", namespace));
    }
    document.within(start, write);
    writer.into_inner()
}

impl Element<'_> {
    /// A text, whatever it contains. What XML can't carry at all (control characters) becomes U+FFFD.
    pub fn text(&mut self, name: &str, text: &str) {
        self.within(BytesStart::new(name), |element| element.characters(text));
    }

    /// A text, or no element at all.
    pub fn optional_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.text(name, if value { "true" } else { "false" });
    }

    /// A decimal number, which is also the form of the counters that the API declares as strings.
    pub fn integer(&mut self, name: &str, value: impl Into<i128>) {
        self.text(name, &value.into().to_string());
    }

    /// A point in time, in UTC.
    pub fn time(&mut self, name: &str, time: OffsetDateTime, format: TimeFormat) {
        self.text(name, &format.format(time));
    }

    /// A structure with the members that `write` adds.
    pub fn structure(&mut self, name: &str, write: impl FnOnce(&mut Element<'_>)) {
        self.within(BytesStart::new(name), write);
    }

    /// A list of structures: `write` adds the members of each. It is there even if it is empty.
    pub fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Element<'_>, T),
    ) {
        self.structure(name, |list| {
            for item in items {
                list.structure("item", |element| write(element, item));
            }
        });
    }

    /// A list of texts. It is there even if it is empty.
    pub fn text_list(&mut self, name: &str, items: impl IntoIterator<Item = impl AsRef<str>>) {
        self.structure(name, |list| {
            for item in items {
                list.text("item", item.as_ref());
            }
        });
    }

    fn within(&mut self, start: BytesStart<'_>, write: impl FnOnce(&mut Element<'_>)) {
        let end = BytesEnd::new(String::from(start.local_name().as_ref()));
        self.event(Event::Start(start));
        write(&mut Element { writer: self.writer });
        self.event(Event::End(end));
    }

    fn characters(&mut self, text: &str) {
        let text = match text.chars().all(is_xml_char) {
            true => Cow::Borrowed(text),
            false => text.replace(|c| !is_xml_char(c), "\u{fffd}").into(),
        };
        // Parsers turn a bare carriage return into a line feed.
        for (number, part) in text.split('\r').enumerate() {
            if number > 0 {
                self.event(Event::GeneralRef(BytesRef::new("#13")));
            }
            self.event(Event::Text(BytesText::new(part)));
        }
    }

    fn event(&mut self, event: Event<'_>) {
        self.writer
            .write_event(event)
            .expect("memory takes whatever is written");
    }
}
