//! One table of the document, read key by key; what nobody asked for is refused at the end.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Span, join};
use super::suggest::closest;
use super::values::path;
use crate::config::FileKind;
use crate::error::Fault;

/// A value with its place and the path that leads to it.
pub(crate) struct Value<'d, 'i> {
    pub(crate) value: &'d DeValue<'i>,
    pub(crate) span: Span,
    pub(crate) path: String,
}

impl<'d, 'i> Value<'d, 'i> {
    fn new(document: &Document<'_>, spanned: &'d Spanned<DeValue<'i>>, path: String) -> Self {
        document.remember(&path, &spanned.span());
        Self {
            value: spanned.get_ref(),
            span: spanned.span(),
            path,
        }
    }

    /// The elements of an array; anything else is an array of itself.
    fn elements(&self, document: &Document<'_>) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.value else {
            return None;
        };
        let element = |(index, spanned)| Value::new(document, spanned, format!("{}[{index}]", self.path));
        Some(array.iter().enumerate().map(element).collect())
    }
}

/// A table and the keys asked of it so far.
pub(crate) struct Table<'d, 'i> {
    document: &'d Document<'d>,
    table: &'d DeTable<'i>,
    pub(crate) path: String,
    span: Span,
    known: RefCell<Vec<&'static str>>,
}

impl<'d, 'i> Table<'d, 'i> {
    pub(crate) fn new(document: &'d Document<'d>, table: &'d DeTable<'i>, path: String, span: Span) -> Self {
        Self {
            document,
            table,
            path,
            span,
            known: RefCell::default(),
        }
    }

    /// The value of a key, when it is there.
    fn value(&self, key: &'static str) -> Option<Value<'d, 'i>> {
        self.known.borrow_mut().push(key);
        let spanned = self.table.get(key)?;
        Some(Value::new(self.document, spanned, join(&self.path, key)))
    }

    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.known.borrow_mut().push(key);
        self.table.contains_key(key)
    }

    fn keep<T>(&self, span: &Span, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.document.refuse(span, fault)).ok()
    }

    /// Reads a key that may be missing. A bad value is reported and counts as missing.
    pub(crate) fn read<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&Value<'_, '_>) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = self.value(key)?;
        self.keep(&value.span, parse(&value))
    }

    /// Reads a key that must be there; `cure` says what to write.
    pub(crate) fn require<T>(
        &self,
        key: &'static str,
        cure: &str,
        parse: impl FnOnce(&Value<'_, '_>) -> Result<T, Fault>,
    ) -> Option<T> {
        if !self.has(key) {
            self.refuse(Fault::new(format!("{key} is missing"), cure));
        }
        self.read(key, parse)
    }

    fn elements(&self, key: &'static str) -> Option<Vec<Value<'d, 'i>>> {
        let value = self.value(key)?;
        let elements = value.elements(self.document);
        if elements.is_none() {
            let message = format!("{key} is not a list");
            self.document.refuse(
                &value.span,
                Fault::new(message, "write it in brackets: [\"...\"]"),
            );
        }
        elements
    }

    /// Reads an array element by element; `None` when the key is missing or not an array.
    pub(crate) fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&Value<'_, '_>) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let elements = self.elements(key)?;
        Some(
            elements
                .iter()
                .filter_map(|element| self.keep(&element.span, parse(element)))
                .collect(),
        )
    }

    /// Reads an array whose elements may be tables; `None` when the key is missing or not an array.
    pub(crate) fn mixed<T>(
        &self,
        key: &'static str,
        of_value: impl Fn(&Value<'_, '_>) -> Result<T, Fault>,
        of_table: impl Fn(Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let elements = self.elements(key)?;
        let read = elements.into_iter().filter_map(|element| match element.value {
            DeValue::Table(table) => of_table(Self::new(self.document, table, element.path, element.span)),
            _ => self.keep(&element.span, of_value(&element)),
        });
        Some(read.collect())
    }

    /// The text of a key, when it is one; neither noted nor reported.
    pub(crate) fn peek(&self, key: &str) -> Option<String> {
        self.table
            .get(key)
            .and_then(|value| value.get_ref().as_str())
            .map(str::to_owned)
    }

    /// True when a key is there and says `false`.
    pub(crate) fn is_false(&self, key: &str) -> bool {
        self.table
            .get(key)
            .is_some_and(|value| value.get_ref().as_bool() == Some(false))
    }

    /// How many elements an array has in the file; `None` when the key is missing or no array.
    pub(crate) fn length(&self, key: &str) -> Option<usize> {
        self.table
            .get(key)
            .and_then(|value| value.get_ref().as_array())
            .map(|array| array.len())
    }

    /// A table inside this one.
    pub(crate) fn table(&self, key: &'static str) -> Option<Self> {
        let value = self.value(key)?;
        self.as_table(value, key)
    }

    /// The tables of an array of tables; empty when the key is missing.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(elements) = value.elements(self.document) else {
            let cure = format!("write [[{key}]], or a list of {{ ... }} tables");
            self.document.refuse(
                &value.span,
                Fault::new(format!("{key} is not a list of tables"), cure),
            );
            return Vec::new();
        };
        elements
            .into_iter()
            .filter_map(|element| self.as_table(element, key))
            .collect()
    }

    fn as_table(&self, value: Value<'d, 'i>, key: &str) -> Option<Self> {
        match value.value {
            DeValue::Table(table) => Some(Self::new(self.document, table, value.path, value.span)),
            _ => {
                let fault = Fault::new(
                    format!("{key} is not a table"),
                    "write it as { key = value, ... }",
                );
                self.document.refuse(&value.span, fault);
                None
            }
        }
    }

    /// The path of a file, made absolute and noted for the check of files.
    pub(crate) fn file(&self, key: &'static str, kind: FileKind) -> Option<PathBuf> {
        self.read(key, |value| {
            Ok(self.document.file(path(value)?, &value.span, kind))
        })
    }

    /// The path of a file that must be named.
    pub(crate) fn require_file(&self, key: &'static str, kind: FileKind) -> Option<PathBuf> {
        if !self.has(key) {
            let cure = format!("give the path of the {}", kind.purpose);
            self.refuse(Fault::new(format!("{key} is missing"), cure));
        }
        self.file(key, kind)
    }

    /// Where relative paths start.
    pub(crate) fn folder(&self) -> &Path {
        self.document.folder()
    }

    /// Reports a problem with the table as a whole.
    pub(crate) fn refuse(&self, fault: Fault) {
        self.document.refuse(&self.span, fault);
    }

    /// Reports a problem with the value of a key.
    pub(crate) fn refuse_key(&self, key: &'static str, fault: Fault) {
        let span = self
            .table
            .get(key)
            .map_or_else(|| self.span.clone(), Spanned::span);
        self.document.refuse(&span, fault);
    }

    /// Refuses every key nobody asked for.
    pub(crate) fn finish(self) {
        let known = self.known.into_inner();
        for key in self
            .table
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
        {
            let name = key.get_ref();
            let cure = match closest(name, &known) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => {
                    let mut known = known.clone();
                    known.sort_unstable();
                    known.dedup();
                    format!("the keys here are {}", known.join(", "))
                }
            };
            self.document.refuse(
                &key.span(),
                Fault::new(format!("the key {name:?} is unknown"), cure),
            );
        }
    }
}
