//! The HTTP request that is meant by a request, and its signature.
//!
//! Addresses are signed for some minutes, as links are that one hands on. The conditions of a write
//! are signed with them: whoever drops one on the way spoils the signature and not the object.

use core::time::Duration;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp as Moment;
use rusty_s3::{Bucket, Credentials, Method, S3Action};
use sana_engine::base::name::Key;
use sana_engine::machine::request::{ByteRange, Request, When};
use url::Url;

use super::fault::Fault;
use super::options::S3Options;

/// An HTTP request, signed.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Bytes>,
}

/// Which address a key has.
pub(super) struct Names {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    place: String,
}

/// How long a signature is good, and so how far clocks may be apart.
const SIGNED_FOR: Duration = Duration::from_mins(15);
/// The longest name an object can have in S3, in bytes.
const NAME_BYTES_MAX: usize = 1024;
/// Positions in objects end here, far beyond the largest object: some stores read them as signed.
const POSITION_MAX: u64 = i64::MAX as u64;
/// The most names a page of S3 has.
const PAGE_NAMES_MAX: u32 = 1_000;

impl Names {
    pub(super) fn new(options: S3Options) -> Self {
        let place = options.place();
        let S3Options { bucket, credentials, prefix } = options;
        Self { bucket, credentials, prefix, place }
    }

    /// What to send for a request, signed at a moment.
    pub(super) fn ask(&self, request: &Request, at: Moment) -> Result<Ask, Fault> {
        let (bucket, who) = (&self.bucket, Some(&self.credentials));
        match request {
            Request::Get { key, range, unless } => {
                let mut headers = Vec::new();
                if let Some(tag) = unless {
                    headers.push(("if-none-match", tag.as_str().to_owned()));
                }
                if let Some(range) = range {
                    let (first, last) = span(*range);
                    headers.push(("range", format!("bytes={first}-{last}")));
                }
                let name = self.name(key)?;
                Ok(sign(bucket.get_object(who, &name), headers, None, at))
            }
            Request::Put { key, body, when } => {
                let condition = match when {
                    When::Absent | When::Fresh => ("if-none-match", "*".to_owned()),
                    When::Matches(tag) => ("if-match", tag.as_str().to_owned()),
                };
                let sum = ("x-amz-checksum-crc32", STANDARD.encode(body.crc32().to_be_bytes()));
                let name = self.name(key)?;
                let headers = vec![condition, sum];
                Ok(sign(bucket.put_object(who, &name), headers, Some(body.bytes()), at))
            }
            Request::Delete { key } => {
                let name = self.name(key)?;
                Ok(sign(bucket.delete_object(who, &name), Vec::new(), None, at))
            }
            Request::List { prefix, after, limit } => {
                let mut list = bucket.list_objects_v2(who);
                list.with_prefix(format!("{}{}", self.prefix, prefix.as_str()));
                if let Some(after) = after {
                    list.with_start_after(format!("{}{}", self.prefix, after.as_str()));
                }
                list.with_max_keys((*limit).min(PAGE_NAMES_MAX) as usize);
                Ok(sign(list, Vec::new(), None, at))
            }
        }
    }

    /// What to send to learn the version and size of the object whose part was asked for.
    pub(super) fn head(&self, request: &Request, at: Moment) -> Result<Option<Ask>, Fault> {
        let Request::Get { key, range: Some(_), .. } = request else { return Ok(None) };
        let name = self.name(key)?;
        let head = self.bucket.head_object(Some(&self.credentials), &name);
        Ok(Some(sign(head, Vec::new(), None, at)))
    }

    /// The key of an object in the bucket, if it is one of ours.
    pub(super) fn key(&self, name: &str) -> Option<Key> {
        name.strip_prefix(&self.prefix).map(Key::new)
    }

    /// The name of an object in the bucket. Addresses cannot express all: a part that is `.` or `..`
    /// means another folder.
    fn name(&self, key: &Key) -> Result<String, Fault> {
        let name = format!("{}{}", self.prefix, key.as_str());
        let is_folder = name.split('/').any(|part| matches!(part, "." | ".."));
        if key.as_str().is_empty() || name.len() > NAME_BYTES_MAX || is_folder {
            return Err(Fault::Name(name));
        }
        Ok(name)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// The first and the last byte to ask for. HTTP cannot ask for no bytes, so at least one is.
pub(super) fn span(range: ByteRange) -> (u64, u64) {
    let first = range.start.min(POSITION_MAX);
    (first, range.end.saturating_sub(1).clamp(first, POSITION_MAX))
}

fn sign<'a, A: S3Action<'a>>(
    mut action: A,
    headers: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    at: Moment,
) -> Ask {
    for (name, value) in &headers {
        action.headers_mut().insert(*name, value.clone());
    }
    let url = action.sign_with_time(SIGNED_FOR, &at);
    Ask { method: A::METHOD, url, headers, body }
}
