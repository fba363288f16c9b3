//! Which bucket, where it is, and who asks.
//!
//! The variables are those of the tools of AWS, so what works with them works here.

use std::fmt;

use rusty_s3::{Bucket, BucketError, Credentials, UrlStyle};
use url::Url;

/// What has to be known to speak to a bucket.
#[derive(Clone)]
pub struct S3Options {
    pub(super) bucket: Bucket,
    pub(super) credentials: Credentials,
    /// Empty, or what all keys begin with, up to and with a slash.
    pub(super) prefix: String,
}

/// Why a place and the environment do not name a bucket.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadS3 {
    /// The place is not of the form `s3://bucket/prefix`.
    #[error("'{0}' names no bucket: use s3://bucket or s3://bucket/prefix")]
    Place(String),
    /// The prefix cannot be part of an address.
    #[error("the prefix '{0}' has an empty part, or one that is '.' or '..': choose another")]
    Prefix(String),
    /// A variable is needed.
    #[error("set {variable}: {why}")]
    Unset {
        /// Its name.
        variable: &'static str,
        /// What it is needed for.
        why: &'static str,
    },
    /// A variable has a value that is none.
    #[error("{variable} is '{value}', which is {problem}")]
    Value {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The bucket and the endpoint do not go together.
    #[error("the bucket '{bucket}' cannot be addressed at {endpoint}: {problem}")]
    Address {
        /// The bucket's name.
        bucket: String,
        /// The endpoint.
        endpoint: String,
        /// What is wrong.
        problem: BucketError,
    },
}

impl S3Options {
    /// The bucket of `place`, with what the process's environment says.
    ///
    /// # Errors
    ///
    /// [`BadS3`], which says what is missing.
    #[expect(clippy::disallowed_methods, reason = "credentials come from the environment")]
    pub fn from_environment(place: &str) -> Result<Self, BadS3> {
        Self::new(place, |name| std::env::var(name).ok())
    }

    /// The bucket of `place`, with what `variable` says.
    ///
    /// # Errors
    ///
    /// [`BadS3`], which says what is missing.
    pub fn new(place: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadS3> {
        let variable = |name: &'static str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let (name, prefix) = named(place)?;
        let need = |name, why| variable(name).ok_or(BadS3::Unset { variable: name, why });
        let access = need("AWS_ACCESS_KEY_ID", "the store wants to know who asks")?;
        let secret = need("AWS_SECRET_ACCESS_KEY", "requests are signed with it")?;
        let credentials = match variable("AWS_SESSION_TOKEN") {
            Some(token) => Credentials::new_with_token(access, secret, token),
            None => Credentials::new(access, secret),
        };
        let (endpoint, region, style) = address(&variable, &name)?;
        let bucket = Bucket::new(endpoint.clone(), style, name.clone(), region);
        let bucket = bucket.map_err(|problem| BadS3::Address {
            bucket: name,
            endpoint: endpoint.to_string(),
            problem,
        })?;
        Ok(Self { bucket, credentials, prefix })
    }

    /// Where the bucket is, for people.
    pub fn place(&self) -> String {
        let name = self.bucket.name();
        let host = self.bucket.base_url().host_str().unwrap_or_default();
        let port = self.bucket.base_url().port().map_or(String::new(), |port| format!(":{port}"));
        format!("s3://{name}/{} at {host}{port}", self.prefix)
    }
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Options").field(&self.place()).finish()
    }
}

/// The bucket that a place names, and the prefix in it: empty, or up to and with a slash.
fn named(place: &str) -> Result<(String, String), BadS3> {
    let path = place.strip_prefix("s3://").unwrap_or_default();
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() || bucket.contains(['?', '#', '@', ':', '\\', ' ']) {
        return Err(BadS3::Place(place.to_owned()));
    }
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        return Ok((bucket.to_owned(), String::new()));
    }
    if prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(BadS3::Prefix(prefix.to_owned()));
    }
    Ok((bucket.to_owned(), format!("{prefix}/")))
}

/// Where the bucket is, its region, and where in an address its name stands.
fn address(
    variable: &impl Fn(&'static str) -> Option<String>,
    bucket: &str,
) -> Result<(Url, String, UrlStyle), BadS3> {
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let (endpoint, region, by_path) = if let Some(endpoint) = endpoint(variable)? {
        (endpoint, region.unwrap_or_else(|| "us-east-1".to_owned()), true)
    } else {
        let region = region.ok_or(BadS3::Unset {
            variable: "AWS_REGION",
            why: "the bucket's region, or AWS_ENDPOINT_URL for a store other than AWS",
        })?;
        // No certificate of AWS is for a host whose first part has a dot.
        (aws_endpoint(&region)?, region, bucket.contains('.'))
    };
    let by_path = path_style(variable)?.unwrap_or(by_path);
    Ok((endpoint, region, if by_path { UrlStyle::Path } else { UrlStyle::VirtualHost }))
}

/// The endpoint that is set, if one is.
fn endpoint(variable: &impl Fn(&'static str) -> Option<String>) -> Result<Option<Url>, BadS3> {
    for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        let Some(value) = variable(name) else { continue };
        let url = Url::parse(&value).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        let problem = "no address such as https://s3.example.com";
        return url.map(Some).ok_or(BadS3::Value { variable: name, value, problem });
    }
    Ok(None)
}

/// Where AWS keeps the buckets of a region.
fn aws_endpoint(region: &str) -> Result<Url, BadS3> {
    let is_plain = region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = is_plain.then(|| Url::parse(&format!("https://s3.{region}.{end}")).ok());
    url.flatten().ok_or_else(|| BadS3::Value {
        variable: "AWS_REGION",
        value: region.to_owned(),
        problem: "no region such as eu-central-1",
    })
}

/// Whether the bucket is named in the path of addresses rather than in their host, if that is set.
fn path_style(variable: &impl Fn(&'static str) -> Option<String>) -> Result<Option<bool>, BadS3> {
    const NAME: &str = "SANA_S3_PATH_STYLE";
    match variable(NAME).as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(value) => Err(BadS3::Value {
            variable: NAME,
            value: value.to_owned(),
            problem: "neither true nor false",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: [(&str, &str); 2] =
        [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "very secret")];

    fn options(place: &str, variables: &[(&str, &str)]) -> Result<S3Options, BadS3> {
        let variables: Vec<(&str, &str)> = WHO.iter().chain(variables).copied().collect();
        S3Options::new(place, |name| {
            let found = variables.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn base(place: &str, variables: &[(&str, &str)]) -> String {
        options(place, variables).unwrap().bucket.base_url().to_string()
    }

    #[test]
    fn a_bucket_of_aws_is_found_by_its_region() {
        let region = [("AWS_REGION", "eu-central-1")];
        assert_eq!(base("s3://films", &region), "https://films.s3.eu-central-1.amazonaws.com/");
        assert_eq!(base("s3://a.b", &region), "https://s3.eu-central-1.amazonaws.com/a.b/");
        let china = [("AWS_DEFAULT_REGION", "cn-north-1")];
        assert_eq!(base("s3://films/x", &china), "https://films.s3.cn-north-1.amazonaws.com.cn/");
        let error = options("s3://films", &[]).unwrap_err().to_string();
        assert!(error.contains("AWS_REGION") && error.contains("AWS_ENDPOINT_URL"), "{error}");
        assert!(options("s3://films", &[("AWS_REGION", "a/b")]).is_err());
    }

    #[test]
    fn another_endpoint_is_addressed_by_path_unless_told_otherwise() {
        let here = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000");
        assert_eq!(base("s3://films", &[here]), "http://127.0.0.1:9000/films/");
        let own = ("AWS_ENDPOINT_URL_S3", "https://store.example.com");
        assert_eq!(base("s3://films", &[here, own]), "https://store.example.com/films/");
        let by_host = ("SANA_S3_PATH_STYLE", "false");
        assert_eq!(base("s3://films", &[own, by_host]), "https://films.store.example.com/");
        let error = options("s3://films", &[here, by_host]).unwrap_err();
        assert!(matches!(error, BadS3::Address { .. }), "an address has no parts: {error}");
    }

    #[test]
    fn a_prefix_ends_with_one_slash() {
        let here = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")];
        let prefix = |place: &str| options(place, &here).map(|options| options.prefix);
        assert_eq!(prefix("s3://b"), Ok(String::new()));
        assert_eq!(prefix("s3://b/"), Ok(String::new()));
        assert_eq!(prefix("s3://b/a/b//"), Ok("a/b/".to_owned()));
        for bad in ["s3://b/a//b", "s3://b/../a", "s3://b/."] {
            assert!(matches!(prefix(bad), Err(BadS3::Prefix(_))), "{bad}");
        }
        for bad in ["s3://", "s3:///a", "s3://b?x", "s4://b", "s3://key:secret@b"] {
            assert!(matches!(prefix(bad), Err(BadS3::Place(_))), "{bad}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let error = options("s3://b", &[(name, " ")]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        for (name, value) in [("AWS_ENDPOINT_URL", "store:9000"), ("SANA_S3_PATH_STYLE", "maybe")] {
            let set = [("AWS_REGION", "eu-west-1"), (name, value)];
            let error = options("s3://b", &set).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let set = [("AWS_REGION", "eu-west-1"), ("AWS_SESSION_TOKEN", "token of the session")];
        let printed = format!("{:?}", options("s3://b/p", &set).unwrap());
        assert_eq!(printed, "S3Options(\"s3://b/p/ at b.s3.eu-west-1.amazonaws.com\")");
    }
}
