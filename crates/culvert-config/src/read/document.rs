//! A TOML document being read: where every value stands and what was wrong with it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::config::{FileKind, NamedFile};
use crate::error::{Fault, FieldProblem, Problem};
use crate::packets::NamedCpu;

/// Bytes of the document.
pub(crate) type Span = Range<usize>;

/// What was found while a document was read, apart from its settings.
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    pub(crate) files: Vec<NamedFile>,
    pub(crate) cpus: Vec<NamedCpu>,
}

/// Collects problems while a document is read.
pub(crate) struct Document<'t> {
    text: &'t str,
    folder: PathBuf,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Where each value that was read stands, by path as in `endpoint[0].routes[2].destination_cidr`.
    spans: RefCell<HashMap<String, Span>>,
    files: RefCell<Vec<NamedFile>>,
    cpus: RefCell<Vec<NamedCpu>>,
}

impl<'t> Document<'t> {
    /// Relative paths in the document start at `folder`.
    pub(crate) fn new(text: &'t str, folder: &Path) -> Self {
        Self {
            text,
            folder: folder.to_owned(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            spans: RefCell::default(),
            files: RefCell::default(),
            cpus: RefCell::default(),
        }
    }

    fn problem(&self, span: &Span, fault: Fault) -> Problem {
        let (line, column) = self.position(span.start);
        Problem {
            line,
            column,
            message: fault.message,
            cure: fault.cure,
        }
    }

    /// Line and column, in characters, of a byte.
    pub(crate) fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    pub(crate) fn refuse(&self, span: &Span, fault: Fault) {
        let problem = self.problem(span, fault);
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn warn(&self, path: &str, fault: Fault) {
        let warning = self.problem(&self.span_of(path), fault);
        self.warnings.borrow_mut().push(warning);
    }

    /// Reports a problem found later, at the value it is about or the nearest one around it.
    pub(crate) fn refuse_field(&self, prefix: &str, problem: FieldProblem) {
        let span = self.span_of(&join(prefix, &problem.field));
        self.refuse(&span, Fault::new(problem.message, problem.cure));
    }

    pub(crate) fn remember(&self, path: &str, span: &Span) {
        self.spans.borrow_mut().insert(path.to_owned(), span.clone());
    }

    fn span_of(&self, path: &str) -> Span {
        let spans = self.spans.borrow();
        let mut path = path;
        loop {
            if let Some(span) = spans.get(path) {
                return span.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 0..0,
            }
        }
    }

    /// A path of the document made absolute, and remembered for the check of files.
    pub(crate) fn file(&self, path: &str, span: &Span, kind: FileKind) -> PathBuf {
        let path = self.folder.join(path);
        let (line, column) = self.position(span.start);
        let file = NamedFile {
            path: path.clone(),
            kind,
            line,
            column,
        };
        self.files.borrow_mut().push(file);
        path
    }

    /// Remembers a CPU for the check of what the machine has.
    pub(crate) fn cpu(&self, cpu: u16, span: &Span) {
        let (line, column) = self.position(span.start);
        self.cpus.borrow_mut().push(NamedCpu { cpu, line, column });
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// What was found while reading.
    pub(crate) fn finish(self) -> Findings {
        Findings {
            problems: self.problems.into_inner(),
            warnings: self.warnings.into_inner(),
            files: self.files.into_inner(),
            cpus: self.cpus.into_inner(),
        }
    }
}

/// `prefix.field`, or the field alone.
pub(crate) fn join(prefix: &str, field: &str) -> String {
    if prefix.is_empty() {
        field.to_owned()
    } else {
        format!("{prefix}.{field}")
    }
}
