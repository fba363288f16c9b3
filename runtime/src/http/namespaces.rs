//! `GET /v1/namespaces`: which namespaces there are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sana_engine::base::name::NamespaceName;
use serde_json::{Value, json};

use super::errors::Failure;
use super::path;
use crate::node::Page;

/// Which page is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PageRequest {
    pub(super) prefix: String,
    pub(super) after: Option<NamespaceName>,
    pub(super) limit: usize,
}

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;

/// The page that the parameters of a URL ask for.
///
/// # Errors
///
/// 400 if one of them cannot be.
pub(super) fn parse(query: Option<&str>) -> Result<PageRequest, Failure> {
    let prefix = path::parameter(query, "prefix")?.unwrap_or_default();
    let limit = match path::parameter(query, "page_size")? {
        None => PAGE_DEFAULT,
        Some(text) => page_size(&text)?,
    };
    let cursor = path::parameter(query, "cursor")?.filter(|cursor| !cursor.is_empty());
    let after = cursor.map(|cursor| name_in(&cursor)).transpose()?;
    Ok(PageRequest { prefix, after, limit })
}

fn page_size(text: &str) -> Result<usize, Failure> {
    let size: i64 = text.parse().map_err(|_| {
        Failure::plain("Failed to deserialize query string: page_size: expected an integer")
    })?;
    let allowed = usize::try_from(size).ok().filter(|size| (1..=PAGE_MAX).contains(size));
    allowed.ok_or_else(|| {
        Failure::meaning(format!("💔 Page size must be in range 1..={PAGE_MAX}, was {size}"))
    })
}

/// A cursor is the last name of the page before, in an alphabet that URLs leave alone.
fn name_in(cursor: &str) -> Result<NamespaceName, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor.trim_end_matches('=')).ok();
    let name =
        bytes.and_then(|bytes| NamespaceName::parse(core::str::from_utf8(&bytes).ok()?).ok());
    name.ok_or_else(|| {
        Failure::meaning("💔 the cursor is not one that this server gave out; begin without one")
    })
}

/// A page, as the answer's body.
pub(super) fn answer(page: &Page) -> Bytes {
    let namespaces: Vec<Value> =
        page.names.iter().map(|name| json!({"id": name.as_str()})).collect();
    let mut body = json!({ "namespaces": namespaces });
    if let Some(last) = page.names.last().filter(|_| page.more) {
        body["next_cursor"] = json!(URL_SAFE_NO_PAD.encode(last.as_str()));
    }
    Bytes::from(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_of_a_page_asks_for_what_comes_after_it() {
        let names = ["a", "b.c-d_e"].map(|name| NamespaceName::parse(name).unwrap());
        let page = Page { names: names.to_vec(), more: true };
        let body: Value = serde_json::from_slice(&answer(&page)).unwrap();
        assert_eq!(body["namespaces"], json!([{"id": "a"}, {"id": "b.c-d_e"}]));
        let cursor = body["next_cursor"].as_str().unwrap();
        let next = parse(Some(&format!("cursor={cursor}&prefix=b"))).unwrap();
        assert_eq!((next.after.as_ref(), next.prefix.as_str()), (Some(&names[1]), "b"));
        let last = Page { more: false, ..page };
        let body: Value = serde_json::from_slice(&answer(&last)).unwrap();
        assert_eq!(body.get("next_cursor"), None);
    }

    #[test]
    fn a_page_has_a_size() {
        assert_eq!(parse(None).unwrap().limit, 100);
        assert_eq!(parse(Some("page_size=1000")).unwrap().limit, 1_000);
        let zero = parse(Some("page_size=0")).unwrap_err();
        assert_eq!(zero.message, "💔 Page size must be in range 1..=1000, was 0");
        assert!(!zero.plain);
        assert!(parse(Some("page_size=1001")).is_err());
        assert!(parse(Some("page_size=x")).unwrap_err().plain);
        assert_eq!(parse(Some("cursor=!")).unwrap_err().status.as_u16(), 400);
    }
}
