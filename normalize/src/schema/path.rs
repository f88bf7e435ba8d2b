//! Resolves a dotted path such as `resources[].uid` against a class.

use std::fmt;

use linchpin_config::nearest;

use super::{Attribute, Class, Schema, Type};

/// Why a path is not one of the class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}", HintText(self.hint.as_deref()))]
pub struct ResolveError {
    /// The segment at fault, without `[]`.
    pub segment: String,
    /// Offset of the segment in the path, in bytes.
    pub offset: usize,
    /// What is wrong with it.
    pub reason: ResolveReason,
    /// What to write for this segment instead.
    pub hint: Option<String>,
}

/// What is wrong with a segment of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveReason {
    /// The class or object has no such attribute.
    #[error("`{owner}` has no attribute `{segment}`")]
    Unknown {
        /// The class or object.
        owner: &'static str,
        /// The attribute that it does not have.
        segment: String,
    },
    /// The attribute is an array, and the segment lacks `[]`.
    #[error("`{0}` is an array")]
    Array(&'static str),
    /// The attribute is not an array, and the segment has `[]`.
    #[error("`{0}` is not an array")]
    NotArray(&'static str),
    /// The path goes on below an attribute that is not a record.
    #[error("`{name}` is a {ty} and has no attributes")]
    Scalar {
        /// The attribute.
        name: &'static str,
        /// Its type.
        ty: Type,
    },
    /// The path goes on below a record whose keys the schema leaves open.
    #[error("`{0}` is free-form, a path cannot name a part of it")]
    FreeForm(&'static str),
}

struct HintText<'a>(Option<&'a str>);

impl fmt::Display for HintText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hint| write!(f, "; hint: write `{hint}`"))
    }
}

/// The attributes along a dotted path, outermost first; never empty.
///
/// A segment carries `[]` exactly where its attribute is an array: `actor.user.uid`,
/// `resources[].uid`. The last attribute is the path's target; attributes on the way may belong
/// to a profile, which is the caller's business.
pub fn resolve<'s>(
    schema: &'s Schema,
    class: &'s Class,
    path: &str,
) -> Result<Vec<&'s Attribute>, ResolveError> {
    let mut found: Vec<&Attribute> = Vec::new();
    let (mut owner, mut attributes) = (class.name, &class.attributes);
    let mut offset = 0;
    for segment in path.split('.') {
        let (name, brackets) = segment.strip_suffix("[]").map_or((segment, false), |name| (name, true));
        let fail = |reason, hint| ResolveError { segment: name.to_owned(), offset, reason, hint };
        if let Some(parent) = found.last() {
            let Some(object) = schema.object_of(parent) else {
                return Err(fail(ResolveReason::Scalar { name: parent.name, ty: parent.ty }, None));
            };
            if object.is_free_form() {
                return Err(fail(ResolveReason::FreeForm(parent.name), None));
            }
            (owner, attributes) = (object.name, &object.attributes);
        }
        let Some(attribute) = attributes.get(name) else {
            let reason = ResolveReason::Unknown { owner, segment: name.to_owned() };
            let known = attributes.iter().map(|attribute| attribute.name);
            return Err(fail(reason, nearest(name, known).map(str::to_owned)));
        };
        match (attribute.is_array, brackets) {
            (true, false) => {
                return Err(fail(ResolveReason::Array(attribute.name), Some(format!("{name}[]"))));
            }
            (false, true) => {
                return Err(fail(ResolveReason::NotArray(attribute.name), Some(name.to_owned())));
            }
            _ => found.push(attribute),
        }
        offset += segment.len() + 1;
    }
    Ok(found)
}
