//! Keys of a store and names in its bucket: the prefix of a place is part of the store.

use crate::StoreError;

/// Longest name in a bucket: the limit of all three clouds, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// The prefix, empty or with a slash at its end.
#[derive(Debug, Clone)]
pub(crate) struct Keys(String);

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        Self(if prefix.is_empty() { String::new() } else { format!("{prefix}/") })
    }

    /// The name in the bucket. Clouds have no folders, but clients and proxies fold `.` and `..` of
    /// a URL, which would then mean another object.
    pub(crate) fn name(&self, key: &str) -> Result<String, StoreError> {
        let name = format!("{}{key}", self.0);
        let folds = key.split('/').any(|part| matches!(part, "." | ".."));
        if key.is_empty() || key.contains('\0') || folds || name.len() > NAME_BYTES_MAX {
            return Err(StoreError::BadKey(key.to_owned()));
        }
        Ok(name)
    }

    /// What the names of keys with this prefix start with.
    pub(crate) fn names(&self, prefix: &str) -> String {
        format!("{}{prefix}", self.0)
    }

    /// The key of a name in the bucket.
    pub(crate) fn key<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn keys_are_relative_to_the_prefix() {
        for prefix in ["a/b", "/a/b/"] {
            let keys = Keys::new(prefix);
            assert_eq!(keys.name("c/d").unwrap(), "a/b/c/d");
            assert_eq!(keys.key("a/b/c/d"), Some("c/d"));
            assert_eq!(keys.key("a/bc"), None);
            assert_eq!(keys.names(""), "a/b/");
        }
        assert_eq!(Keys::new("").name("c").unwrap(), "c");
        assert_eq!(Keys::new("").name("odd//key/").unwrap(), "odd//key/");
    }

    #[test]
    fn keys_that_mean_another_object_are_refused() {
        let long = "x".repeat(NAME_BYTES_MAX);
        for key in ["", ".", "..", "../a", "a/../b", "a/./b", "a/..", "a\0b", &long] {
            assert!(matches!(Keys::new("p").name(key), Err(StoreError::BadKey(_))), "{key}");
        }
    }
}
