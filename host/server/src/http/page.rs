//! Cursor lists. Invariant: a page is at most 100 items, newest first, and the cursor is the last item's id.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

/// Most items of a page.
const LIMIT_MAX: u32 = 100;
/// Items of a page when nothing is said.
const LIMIT_DEFAULT: u32 = 20;

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// Newest first.
    pub data: Vec<T>,
    /// Give it as `after` for the next page; absent on the last one.
    pub next: Option<String>,
}

/// Which part.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// At most 100; default 20.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub after: Option<String>,
}

/// The limit, checked.
pub fn limit(given: Option<u32>) -> Result<u32, Problem> {
    match given {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::field("limit", format!("from 1 to {LIMIT_MAX}"))),
    }
}

/// Makes a page of one item more than was asked for, by which it is known whether there is another page.
pub fn page<T>(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> String) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(id) } else { None };
    Page { data: items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_there_only_when_more_is() {
        let id = |item: &u32| item.to_string();
        assert_eq!(page(vec![3, 2, 1], 2, id).next.as_deref(), Some("2"));
        assert_eq!(page(vec![3, 2], 2, id).next, None);
        assert!(limit(Some(0)).is_err() && limit(Some(101)).is_err());
    }
}
