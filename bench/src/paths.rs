//! What the mapping of `aws.cloudtrail` reads of an event for the linchpin columns
//! (`normalize/sources/aws_cloudtrail/source.yml`), conditions included.
//!
//! `get_many` fails where a path leads through `null`, an empty object or a text, and `CloudTrail` has
//! all of them. So a container that may be one is asked for as a whole, and for its members in a
//! call of its own, where it has any.

/// Paths below one container; a path's number counts through all layers, in order.
pub struct Layer {
    /// The path of the container in an earlier layer; empty for the event itself.
    pub container: &'static str,
    /// Paths below it. A number is a place in an array.
    pub paths: &'static [&'static str],
}

/// Every path, each once.
pub const LAYERS: &[Layer] = &[
    Layer {
        container: "",
        paths: &[
            "eventTime",
            "eventName",
            "eventSource",
            "eventID",
            "eventType",
            "errorCode",
            "errorMessage",
            "recipientAccountId",
            "awsRegion",
            "sharedEventID",
            "requestID",
            "sourceIPAddress",
            "userAgent",
            "vpcEndpointId",
            "readOnly",
            "tlsDetails.clientProvidedHostHeader",
            "userIdentity.type",
            "userIdentity.arn",
            "userIdentity.principalId",
            "userIdentity.accountId",
            "userIdentity.accessKeyId",
            "userIdentity.credentialId",
            "userIdentity.userName",
            "userIdentity.invokedBy",
            "userIdentity.onBehalfOf.userId",
            "userIdentity.sessionContext.sessionIssuer",
            "userIdentity.sessionContext.attributes.mfaAuthenticated",
            "requestParameters",
            "responseElements",
            "additionalEventData",
            "serviceEventDetails",
            "insightDetails",
            "resources",
        ],
    },
    Layer { container: "userIdentity.sessionContext.sessionIssuer", paths: &["userName", "arn"] },
    Layer {
        container: "requestParameters",
        paths: &[
            "roleArn",
            "roleName",
            "userName",
            "userId",
            "groupName",
            "policyArn",
            "policyName",
            "permissionSetArn",
            "principalId",
            "serialNumber",
            "name",
            "instanceId",
            "instancesSet",
            "target",
            "groupId",
            "snapshotId",
            "imageId",
            "volumeId",
            "secretId",
            "keyId",
            "detectorId",
            "vpcId",
            "bucketName",
            "functionName",
            "dBInstanceIdentifier",
            "dBSnapshotIdentifier",
            "tableName",
            "trailName",
        ],
    },
    Layer { container: "requestParameters.instancesSet", paths: &["items.0.instanceId"] },
    Layer {
        container: "responseElements",
        paths: &[
            "ConsoleLogin",
            "instancesSet",
            "user",
            "accessKey",
            "federatedUser",
            "role",
            "policy",
            "functionArn",
            "dBInstanceArn",
            "trailARN",
        ],
    },
    Layer { container: "responseElements.instancesSet", paths: &["items.0.instanceId"] },
    Layer { container: "responseElements.user", paths: &["arn", "userName"] },
    Layer { container: "responseElements.accessKey", paths: &["userName"] },
    Layer { container: "responseElements.federatedUser", paths: &["arn"] },
    Layer { container: "responseElements.role", paths: &["arn"] },
    Layer { container: "responseElements.policy", paths: &["arn"] },
    Layer { container: "additionalEventData", paths: &["UserName", "MFAUsed", "vpcEndpointId"] },
    Layer { container: "resources", paths: &["0.ARN", "0.arn", "0.ARNPrefix"] },
];

/// Columns that hold the text of the first of these paths that has one. What the mapping only does
/// for some classes is done for all: it makes no difference to what is timed.
pub const TEXTS: &[(&str, &[&str])] = &[
    ("status_code", &["errorCode"]),
    ("metadata_uid", &["eventID"]),
    ("cloud_account_uid", &["recipientAccountId", "userIdentity.accountId"]),
    ("cloud_region", &["awsRegion"]),
    ("actor_user_uid", &["userIdentity.arn", "userIdentity.onBehalfOf.userId", "userIdentity.principalId"]),
    (
        "actor_user_name",
        &[
            "userIdentity.userName",
            "userIdentity.sessionContext.sessionIssuer.userName",
            "additionalEventData.UserName",
        ],
    ),
    ("actor_user_type", &["userIdentity.type"]),
    ("actor_user_credential_uid", &["userIdentity.accessKeyId", "userIdentity.credentialId"]),
    ("actor_user_account_uid", &["userIdentity.accountId"]),
    ("actor_session_issuer", &["userIdentity.sessionContext.sessionIssuer.arn"]),
    ("actor_invoked_by", &["userIdentity.invokedBy"]),
    ("src_endpoint_uid", &["vpcEndpointId", "additionalEventData.vpcEndpointId"]),
    ("dst_endpoint_hostname", &["tlsDetails.clientProvidedHostHeader"]),
    ("api_operation", &["eventName"]),
    ("api_service_name", &["eventSource"]),
    ("api_request_uid", &["requestID", "eventID"]),
    ("api_response_error", &["errorCode"]),
    ("http_user_agent", &["userAgent"]),
    (
        "resource_uid",
        &[
            "resources.0.ARN",
            "resources.0.arn",
            "requestParameters.instancesSet.items.0.instanceId",
            "responseElements.instancesSet.items.0.instanceId",
            "responseElements.role.arn",
            "responseElements.policy.arn",
            "requestParameters.policyArn",
            "requestParameters.instanceId",
            "requestParameters.target",
            "requestParameters.groupId",
            "requestParameters.snapshotId",
            "requestParameters.imageId",
            "requestParameters.volumeId",
            "requestParameters.secretId",
            "requestParameters.keyId",
            "responseElements.functionArn",
            "responseElements.dBInstanceArn",
            "responseElements.trailARN",
            "requestParameters.detectorId",
            "requestParameters.vpcId",
        ],
    ),
    (
        "resource_name",
        &[
            "resources.0.ARNPrefix",
            "requestParameters.bucketName",
            "requestParameters.roleName",
            "requestParameters.userName",
            "requestParameters.groupName",
            "requestParameters.policyName",
            "requestParameters.functionName",
            "requestParameters.dBInstanceIdentifier",
            "requestParameters.dBSnapshotIdentifier",
            "requestParameters.tableName",
            "requestParameters.trailName",
            "requestParameters.name",
        ],
    ),
];

/// The same for events of the class authentication.
pub const AUTHENTICATION_TEXTS: &[(&str, &[&str])] = &[
    ("user_uid", &["requestParameters.roleArn", "responseElements.federatedUser.arn", "userIdentity.arn"]),
    (
        "user_name",
        &[
            "requestParameters.name",
            "requestParameters.roleName",
            "userIdentity.userName",
            "additionalEventData.UserName",
            "userIdentity.sessionContext.sessionIssuer.userName",
        ],
    ),
];

/// The number of a path: its place in all layers.
pub fn number(path: &str) -> Option<usize> {
    let whole = |layer: &Layer, path: &str| match layer.container {
        "" => path.to_owned(),
        container => format!("{container}.{path}"),
    };
    LAYERS
        .iter()
        .flat_map(|layer| layer.paths.iter().map(move |path| whole(layer, path)))
        .position(|p| p == path)
}

/// How many paths there are.
pub fn count() -> usize {
    LAYERS.iter().map(|layer| layer.paths.len()).sum()
}
