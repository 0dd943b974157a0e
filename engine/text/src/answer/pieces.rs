//! Looking for marks in text that is not whole yet, and joining what comes of it.

use super::Part;

/// Where the first of several texts begins, or may begin.
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) which: Option<usize>,
}

pub(super) fn find(text: &str, marks: &[&str]) -> Found {
    let whole = marks.iter().enumerate().filter_map(|(i, mark)| Some((text.find(mark)?, i))).min();
    if let Some((at, which)) = whole {
        return Found { at, which: Some(which) };
    }
    let may_begin = |at: &usize| marks.iter().any(|mark| mark.starts_with(&text[*at..]));
    let longest = marks.iter().map(|mark| mark.len()).max().unwrap_or(0);
    let tail = text.len().saturating_sub(longest)..text.len();
    let at = tail.filter(|at| text.is_char_boundary(*at)).find(may_begin).unwrap_or(text.len());
    Found { at, which: None }
}

pub(super) fn push_content(text: &str, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Content(text.to_owned()));
    }
}

pub(super) fn push_reasoning(text: &str, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Reasoning(text.to_owned()));
    }
}

/// Joins neighbours of a kind.
pub(super) fn join(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Content(text)), Part::Content(more))
            | (Some(Part::Reasoning(text)), Part::Reasoning(more))
            | (Some(Part::Arguments(text)), Part::Arguments(more)) => *text += &more,
            (_, part) => joined.push(part),
        }
    }
    joined
}
