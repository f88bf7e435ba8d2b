//! What events of a class must have, as groups of targets of which one must give a value.
//!
//! An object that lacks what the schema requires is taken out of a document, and a document that
//! then lacks what its class requires is class 0. A row must know as much before it is written, so
//! the groups lead down to the values that keep an object whole.

use crate::plan::ClassPlan;
use crate::schema::{Attribute, Attributes, Requirement, schema};

/// Most groups that alternatives multiply to; with more, any value below one of them will do.
const GROUPS_MAX: usize = 16;

/// Targets, by index, of which one must give a value.
pub(super) type Group = Vec<u16>;

/// What must be given so that one of the attributes `names` is there; `above` are the names on the
/// way to them. `None` if no target can do that.
pub(super) fn any_of(
    plan: &ClassPlan,
    attributes: &'static Attributes,
    names: &[&'static str],
    above: &mut Vec<&'static str>,
) -> Option<Vec<Group>> {
    let known: Vec<&Attribute> = names.iter().filter_map(|name| attributes.get(name)).collect();
    let ways: Vec<Vec<Group>> = known.iter().filter_map(|attribute| of(plan, attribute, above)).collect();
    let product = ways.iter().map(Vec::len).try_fold(1_usize, usize::checked_mul);
    if product.is_none_or(|groups| groups > GROUPS_MAX) {
        return Some(vec![known.iter().flat_map(|attribute| members(plan, attribute, above)).collect()]);
    }
    // One way or the other: each group of the one beside each of the other.
    let both = |groups: Vec<Group>, way: Vec<Group>| {
        let joined = |group: &Group| way.iter().map(|need| [&group[..], need].concat()).collect::<Vec<_>>();
        groups.iter().flat_map(joined).collect()
    };
    ways.into_iter().reduce(both)
}

/// What must be given so that an attribute is there; `None` if no target can do that.
pub(super) fn of(
    plan: &ClassPlan,
    attribute: &'static Attribute,
    above: &mut Vec<&'static str>,
) -> Option<Vec<Group>> {
    let members = members(plan, attribute, above);
    if members.is_empty() {
        return None;
    }
    let Some(object) = schema().object_of(attribute).filter(|object| !object.is_free_form()) else {
        return Some(vec![members]);
    };
    above.push(attribute.name);
    let needed = object.attributes.iter().filter(|a| is_needed(a)).map(|needed| of(plan, needed, above));
    let needed: Option<Vec<_>> = needed.collect();
    let constraints = [&object.at_least_one, &object.just_one].into_iter().filter(|names| !names.is_empty());
    let constraints: Option<Vec<_>> =
        constraints.map(|names| any_of(plan, &object.attributes, names, above)).collect();
    above.pop();
    let groups = [needed?, constraints?].concat().concat();
    Some(if groups.is_empty() { vec![members] } else { groups })
}

/// The targets at an attribute or below it.
fn members(plan: &ClassPlan, attribute: &Attribute, above: &[&'static str]) -> Group {
    let below = |at: &u16| {
        let segments = &plan.targets[usize::from(*at)].segments;
        let path = above.iter().copied().chain([attribute.name]);
        segments.len() > above.len()
            && segments.iter().map(|s| s.name).zip(path).all(|(own, name)| own == name)
    };
    (0..plan.targets.len() as u16).filter(below).collect()
}

/// Whether an object without the attribute is not whole; what may be Unknown is filled in.
fn is_needed(attribute: &Attribute) -> bool {
    attribute.requirement == Requirement::Required
        && attribute.profile.is_none()
        && attribute.enumeration.as_ref().and_then(|e| e.get_by_value(0)).is_none()
}
