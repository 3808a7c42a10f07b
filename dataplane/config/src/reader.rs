//! Reads typed values out of parsed TOML, collecting every problem with its line instead of stopping at the first.

use crate::problem::{Problem, Wrong, nearest};
use core::fmt;
use core::ops::Range;
use core::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and the line it stands in.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub value: T,
    pub line: usize,
}

/// A text or a whole number.
#[derive(Clone, Debug)]
pub(crate) enum Word<'t> {
    Text(&'t str),
    /// In decimal digits; as it was written where it is below zero or beyond 64 bits.
    Number(String),
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Text(text) => f.write_str(text),
            Word::Number(digits) => f.write_str(digits),
        }
    }
}

/// Collects problems and turns byte offsets into lines.
pub(crate) struct Reader<'a> {
    file: &'a str,
    /// The offset of each line's first byte.
    lines: Vec<usize>,
    pub problems: Vec<Problem>,
}

/// One table of the file.
pub(crate) struct Section<'t> {
    /// As problems name it.
    pub name: String,
    /// The line of its header.
    pub line: usize,
    table: &'t DeTable<'t>,
}

impl<'a> Reader<'a> {
    pub fn new(file: &'a str, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let lines = core::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self {
            file,
            lines,
            problems: Vec::new(),
        }
    }

    /// The line, from 1, in which a span begins.
    pub fn line(&self, span: Range<usize>) -> usize {
        self.lines.partition_point(|start| *start <= span.start).max(1)
    }

    pub fn problem(&self, line: usize, section: &str, field: &str, wrong: Wrong) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line,
            section: section.to_owned(),
            field: field.to_owned(),
            wrong,
        }
    }

    pub fn report(&mut self, line: usize, section: &str, field: &str, wrong: Wrong) {
        let problem = self.problem(line, section, field, wrong);
        self.problems.push(problem);
    }

    /// Reports every key of `table` that is not in `known`.
    pub fn refuse_unknown(&mut self, section: &str, table: &DeTable<'_>, known: &'static [&'static str]) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let nearest = nearest(name, known);
                self.report(
                    self.line(key.span()),
                    section,
                    name,
                    Wrong::Unknown { nearest, known },
                );
            }
        }
    }

    fn wrong_type(
        &mut self,
        section: &str,
        field: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &'static str,
    ) {
        let found = type_name(value.get_ref());
        self.report(
            self.line(value.span()),
            section,
            field,
            Wrong::Type { found, expected },
        );
    }
}

impl<'t> Section<'t> {
    /// The table `value`, named `name` in problems; its keys must be among `known`.
    pub fn open(
        reader: &mut Reader<'_>,
        name: String,
        value: &'t Spanned<DeValue<'t>>,
        known: &'static [&'static str],
    ) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            reader.wrong_type("", &name, value, "a section in square brackets");
            return None;
        };
        reader.refuse_unknown(&name, table, known);
        let line = reader.line(value.span());
        Some(Self { name, line, table })
    }

    pub fn report(&self, reader: &mut Reader<'_>, line: usize, field: &str, wrong: Wrong) {
        reader.report(line, &self.name, field, wrong);
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub fn text(&self, reader: &mut Reader<'_>, key: &str, expected: &'static str) -> Option<At<&'t str>> {
        let value = self.table.get(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(At {
                value: text,
                line: reader.line(value.span()),
            }),
            None => {
                reader.wrong_type(&self.name, key, value, expected);
                None
            }
        }
    }

    /// A string parsed by its type's own `FromStr`.
    pub fn parsed<T>(&self, reader: &mut Reader<'_>, key: &str, expected: &'static str) -> Option<At<T>>
    where
        T: FromStr,
        Wrong: From<T::Err>,
    {
        let text = self.text(reader, key, expected)?;
        match text.value.parse() {
            Ok(value) => Some(At {
                value,
                line: text.line,
            }),
            Err(error) => {
                self.report(reader, text.line, key, Wrong::from(error));
                None
            }
        }
    }

    /// One of several words.
    pub fn choice<T: Copy>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        expected: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(reader, key, expected)?;
        let found = choices.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let value = text.value.to_owned();
            self.report(reader, text.line, key, Wrong::Value { value, expected });
        }
        found.map(|(_, choice)| *choice)
    }

    pub fn flag(&self, reader: &mut Reader<'_>, key: &str) -> Option<bool> {
        let value = self.table.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            reader.wrong_type(&self.name, key, value, "true or false");
        }
        flag
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, reader: &mut Reader<'_>, key: &str, least: u64, most: u64) -> Option<At<u64>> {
        let value = self.table.get(key)?;
        let line = reader.line(value.span());
        let Some(integer) = value.get_ref().as_integer() else {
            reader.wrong_type(&self.name, key, value, "a whole number");
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) if (least..=most).contains(&value) => Some(At { value, line }),
            Ok(_) | Err(_) => {
                let value = integer.as_str().to_owned();
                self.report(reader, line, key, Wrong::Range { value, least, most });
                None
            }
        }
    }

    /// Whether the value of `key` is a string.
    pub fn is_text(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|v| v.get_ref().is_str())
    }

    /// A text or a whole number.
    pub fn word(&self, reader: &mut Reader<'_>, key: &str, expected: &'static str) -> Option<At<Word<'t>>> {
        let value = self.table.get(key)?;
        let word = word(reader, value);
        if word.is_none() {
            reader.wrong_type(&self.name, key, value, expected);
        }
        word
    }

    /// Every text and whole number of an array; what is neither is reported and left out.
    pub fn words(&self, reader: &mut Reader<'_>, key: &str, expected: &'static str) -> Vec<At<Word<'t>>> {
        let Some(value) = self.table.get(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            reader.wrong_type(&self.name, key, value, expected);
            return Vec::new();
        };
        let mut words = Vec::with_capacity(array.len());
        for item in array.iter() {
            match word(reader, item) {
                Some(word) => words.push(word),
                None => reader.wrong_type(&self.name, key, item, expected),
            }
        }
        words
    }

    /// Whether the value of `key` is an array without items.
    pub fn is_empty_list(&self, key: &str) -> bool {
        let array = self.table.get(key).and_then(|value| value.get_ref().as_array());
        array.is_some_and(|array| array.is_empty())
    }

    /// Every string of an array; what is no string is reported and left out.
    pub fn texts(&self, reader: &mut Reader<'_>, key: &str, expected: &'static str) -> Vec<At<&'t str>> {
        let Some(value) = self.table.get(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            reader.wrong_type(&self.name, key, value, expected);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(array.len());
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(At {
                    value: text,
                    line: reader.line(item.span()),
                }),
                None => reader.wrong_type(&self.name, key, item, expected),
            }
        }
        texts
    }
}

fn word<'t>(reader: &Reader<'_>, value: &'t Spanned<DeValue<'t>>) -> Option<At<Word<'t>>> {
    let text = value.get_ref().as_str().map(Word::Text);
    let number = || {
        let integer = value.get_ref().as_integer()?;
        let number = u64::from_str_radix(integer.as_str(), integer.radix());
        Some(Word::Number(
            number.map_or_else(|_| integer.as_str().to_owned(), |n| n.to_string()),
        ))
    };
    text.or_else(number).map(|word| At {
        value: word,
        line: reader.line(value.span()),
    })
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text in quotes",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a decimal point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
