//! What an API operation does, from the verb that its name begins with.

use std::borrow::Cow;

use super::{Outcome, Val};

/// Verbs that API operations of the three clouds start with, by what they do.
const VERBS: &[(&str, &[&str])] = &[
    (
        "Read",
        &[
            "get",
            "list",
            "describe",
            "head",
            "read",
            "lookup",
            "search",
            "query",
            "scan",
            "batchget",
            "select",
            "view",
            "check",
            "validate",
            "verify",
            "simulate",
            "estimate",
            "preview",
            "download",
            "export",
            "test",
            "filter",
            "poll",
            "receive",
            "watch",
            "aggregatedlist",
            "decrypt",
            "fetch",
            "detect",
            "discover",
        ],
    ),
    (
        "Create",
        &[
            "create",
            "put",
            "insert",
            "add",
            "run",
            "allocate",
            "register",
            "issue",
            "generate",
            "import",
            "upload",
            "copy",
            "publish",
            "send",
            "start",
            "provision",
            "request",
            "purchase",
            "launch",
            "submit",
            "new",
            "invite",
            "deploy",
            "restore",
            "clone",
            "enqueue",
            "post",
            "encrypt",
            "write",
        ],
    ),
    (
        "Update",
        &[
            "update",
            "modify",
            "set",
            "attach",
            "associate",
            "change",
            "enable",
            "disable",
            "patch",
            "tag",
            "untag",
            "reset",
            "replace",
            "edit",
            "rotate",
            "authorize",
            "stop",
            "reboot",
            "resume",
            "suspend",
            "assign",
            "upgrade",
            "merge",
            "move",
            "rename",
            "apply",
            "resize",
            "accept",
            "reject",
            "activate",
            "deactivate",
            "configure",
            "renew",
            "restart",
        ],
    ),
    (
        "Delete",
        &[
            "delete",
            "remove",
            "terminate",
            "detach",
            "disassociate",
            "revoke",
            "deregister",
            "release",
            "purge",
            "cancel",
            "destroy",
            "unassign",
            "leave",
            "drop",
            "batchdelete",
            "schedulekeydeletion",
            "clear",
        ],
    ),
];

pub(super) fn api_activity(value: Val<'_>) -> Outcome<'_> {
    let operation = value.into_text();
    let bytes = operation.as_bytes();
    let starts = |verb: &str| {
        let (Some(first), Some(head)) = (bytes.first(), bytes.get(..verb.len())) else { return false };
        // Most verbs differ in their first letter.
        first.eq_ignore_ascii_case(&verb.as_bytes()[0]) && head.eq_ignore_ascii_case(verb.as_bytes())
    };
    // The longest verb wins: `Untag…` is not read as another that is its beginning.
    let best = VERBS
        .iter()
        .flat_map(|(caption, verbs)| verbs.iter().map(move |verb| (verb.len(), *caption, *verb)))
        .filter(|(_, _, verb)| starts(verb))
        .max_by_key(|(len, _, _)| *len);
    Ok(Some(Val::Text(Cow::Borrowed(best.map_or("Other", |(_, caption, _)| caption)))))
}
