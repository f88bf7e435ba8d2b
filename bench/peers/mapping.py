"""What every peer does: the main paths of linchpin's mapping of CloudTrail, as SQL and as data.

Linchpin's mapping has more rules than these (verbs of operations, insights, rare fields). Where a
peer does less than linchpin does, that is to the peer's advantage.
"""

TOP = [
    "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "errorCode",
    "errorMessage", "requestID", "eventID", "recipientAccountId", "vpcEndpointId",
]  # fmt: skip
IDENTITY = ["type", "principalId", "arn", "accountId", "accessKeyId", "credentialId", "userName", "invokedBy"]
PARAMETERS = [
    "roleArn", "roleName", "userName", "groupName", "groupId", "policyArn", "policyName", "permissionSetArn",
    "displayName", "instanceId", "target", "snapshotId", "imageId", "volumeId", "secretId", "keyId", "vpcId",
    "bucketName", "functionName", "tableName", "trailName", "name",
]  # fmt: skip
RESOURCE_UIDS = [
    "policyArn", "instanceId", "target", "groupId", "snapshotId", "imageId", "volumeId", "secretId", "keyId", "vpcId",
]  # fmt: skip
RESOURCE_NAMES = [
    "bucketName", "roleName", "userName", "groupName", "policyName", "functionName", "tableName", "trailName", "name",
]  # fmt: skip

# The fields of an event that are read: a text, a truth value, a list of objects, or an object.
FIELDS = {
    **dict.fromkeys(TOP, "text"),
    "readOnly": "bool",
    "userIdentity": {
        **dict.fromkeys(IDENTITY, "text"),
        "onBehalfOf": {"userId": "text"},
        "sessionContext": {
            "sessionIssuer": {"arn": "text", "userName": "text"},
            "attributes": {"mfaAuthenticated": "text"},
        },
    },
    "tlsDetails": {"clientProvidedHostHeader": "text"},
    "requestParameters": dict.fromkeys(PARAMETERS, "text"),
    "responseElements": {"ConsoleLogin": "text"},
    "resources": [{"ARN": "text"}],
}

SIGN_IN_SOURCES = ["signin.amazonaws.com", "sso.amazonaws.com", "sso-oauth.amazonaws.com"]
SIGN_INS = [
    "ConsoleLogin", "UserAuthentication", "Authenticate", "Federate", "SwitchRole", "ExitRole", "RenewRole",
    "CheckMfa", "CredentialChallenge", "CredentialVerification", "GetSigninToken", "CreateToken",
    "CreateTokenWithIAM", "Logout",
]  # fmt: skip
ROLE_SOURCES = [
    "sts.amazonaws.com", "signin.amazonaws.com", "sso.amazonaws.com", "rolesanywhere.amazonaws.com",
    "eks-auth.amazonaws.com",
]  # fmt: skip
ROLES = [
    "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "AssumeRoleForPodIdentity",
    "GetSessionToken", "GetFederationToken", "GetRoleCredentials", "CreateSession",
]  # fmt: skip
ACCOUNT_SOURCES = [
    "iam.amazonaws.com", "identitystore.amazonaws.com", "sso-directory.amazonaws.com", "signin.amazonaws.com",
]  # fmt: skip
ACCOUNT_CHANGES = [
    "CreateUser", "UpdateUser", "DeleteUser", "EnableUser", "DisableUser", "TagUser", "UntagUser",
    "CreateLoginProfile", "UpdateLoginProfile", "DeleteLoginProfile", "ChangePassword", "UpdatePassword",
    "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey", "CreateVirtualMFADevice", "DeleteVirtualMFADevice",
    "EnableMFADevice", "DeactivateMFADevice", "ResyncMFADevice", "UploadSSHPublicKey", "UpdateSSHPublicKey",
    "DeleteSSHPublicKey", "UploadSigningCertificate", "UpdateSigningCertificate", "DeleteSigningCertificate",
    "CreateServiceSpecificCredential", "UpdateServiceSpecificCredential", "ResetServiceSpecificCredential",
    "DeleteServiceSpecificCredential", "PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary",
]  # fmt: skip
GROUP_SOURCES = ["iam.amazonaws.com", "identitystore.amazonaws.com", "sso-directory.amazonaws.com"]
GROUP_CHANGES = [
    "CreateGroup", "UpdateGroup", "DeleteGroup", "AddUserToGroup", "RemoveUserFromGroup", "AddMemberToGroup",
    "RemoveMemberFromGroup", "CreateGroupMembership",
]  # fmt: skip
GRANT_SOURCES = ["iam.amazonaws.com", "sso.amazonaws.com"]
GRANTS = [
    "AttachUserPolicy", "AttachRolePolicy", "AttachGroupPolicy", "PutUserPolicy", "PutRolePolicy", "PutGroupPolicy",
    "DetachUserPolicy", "DetachRolePolicy", "DetachGroupPolicy", "DeleteUserPolicy", "DeleteRolePolicy",
    "DeleteGroupPolicy", "CreateAccountAssignment", "DeleteAccountAssignment",
]  # fmt: skip
DENIALS = [
    "AccessDenied", "AccessDeniedException", "AccessDeniedFault", "AuthorizationError",
    "AuthorizationErrorException", "Client.UnauthorizedOperation", "UnauthorizedOperation", "NotAuthorized",
    "UnauthorizedException", "VpceAccessDenied", "Client.AccessDenied", "ExplicitDeny",
]  # fmt: skip
USER_TYPES = {
    "IAMUser": "User", "IdentityCenterUser": "User", "FederatedUser": "User", "SAMLUser": "User",
    "WebIdentityUser": "User", "Root": "Admin", "AWSService": "Service",
}  # fmt: skip
ADDRESS = "^[0-9a-fA-F.:]+$"
INTERNAL = r"^(10\.|192\.168\.|172\.(1[6-9]|2[0-9]|3[01])\.)"

# Columns that must be equal to linchpin's in every row, whoever made them.
CHECKED = [
    "time", "class_uid", "category_uid", "severity_id", "status_id", "status_code", "source", "metadata_uid",
    "metadata_log_name", "cloud_provider", "cloud_account_uid", "cloud_region", "actor_user_uid", "actor_user_type",
    "actor_user_credential_uid", "actor_user_account_uid", "actor_session_uid", "actor_session_issuer",
    "actor_session_is_mfa", "actor_invoked_by", "src_endpoint_ip", "src_endpoint_uid", "src_is_internal",
    "api_operation", "api_service_name", "api_request_uid", "api_response_error", "http_user_agent",
]  # fmt: skip


def columns(dialect):
    """The columns, each as an SQL expression over an event `r`.

    `dialect` says how a database writes what is not the same in all of them: `after_colon`,
    `matches`, `first_arn`, `time`, `text` and `cast`.
    """
    d = dialect

    def one_of(what, values):
        return f"{what} IN ({', '.join(repr(value) for value in values)})"

    def event(sources, names):
        return f"{one_of('r.eventSource', sources)} AND {one_of('r.eventName', names)}"

    def first(paths):
        return f"coalesce({', '.join(paths)})"

    def number(value):
        return d["cast"](value)

    def parameter(name):
        return f"r.requestParameters.{name}"

    def parameters(names):
        return [parameter(name) for name in names]

    user = "r.userIdentity"
    issuer = f"{user}.sessionContext.sessionIssuer"
    mfa = f"({user}.sessionContext.attributes.mfaAuthenticated = 'true')"
    denied = "coalesce(r.responseElements.ConsoleLogin, '') = 'Failure'"
    failed = f"(r.errorCode IS NOT NULL OR r.errorMessage IS NOT NULL OR {denied})"
    group = first(parameters(["groupName", "groupId", "displayName"]))
    grant = first(parameters(["policyArn", "policyName", "permissionSetArn"]))
    about_user = "class_uid IN (3001, 3002)"
    ip = d["matches"]("r.sourceIPAddress", ADDRESS)
    types = " ".join(f"WHEN '{ours}' THEN '{ocsf}'" for ours, ocsf in USER_TYPES.items())
    class_uid = (
        f"CASE WHEN {event(SIGN_IN_SOURCES, SIGN_INS)} THEN 3002 WHEN {event(ROLE_SOURCES, ROLES)} THEN 3002"
        f" WHEN {event(ACCOUNT_SOURCES, ACCOUNT_CHANGES)} THEN 3001"
        f" WHEN {event(GROUP_SOURCES, GROUP_CHANGES)} AND {group} IS NOT NULL THEN 3006"
        f" WHEN {event(GRANT_SOURCES, GRANTS)} AND {grant} IS NOT NULL THEN 3005 ELSE 6003 END"
    )
    return {
        "time": d["time"]("r.eventTime"),
        "class_uid": number(class_uid),
        "category_uid": number("CASE WHEN class_uid < 6000 THEN 3 ELSE 6 END"),
        "activity_id": number("CASE WHEN r.readOnly THEN 2 ELSE 1 END"),
        "type_uid": "class_uid * 100 + activity_id",
        "severity_id": number(
            f"CASE WHEN {one_of('r.errorCode', DENIALS)} OR (class_uid = 3002 AND {failed}) THEN 2 ELSE 1 END"
        ),
        "status_id": number(f"CASE WHEN {failed} THEN 2 ELSE 1 END"),
        "status_code": "r.errorCode",
        "source": d["text"]("aws.cloudtrail"),
        "metadata_uid": "r.eventID",
        "metadata_log_name": d["text"]("aws.cloudtrail"),
        "cloud_provider": d["text"]("AWS"),
        "cloud_account_uid": first(["r.recipientAccountId", f"{user}.accountId"]),
        "cloud_region": "r.awsRegion",
        "actor_user_uid": first(
            [f"nullif({user}.arn, '')", f"{user}.onBehalfOf.userId", f"nullif({user}.principalId, '')"]
        ),
        "actor_user_name": (
            f"CASE WHEN {user}.type = 'AWSService' THEN {first([f'{user}.invokedBy', 'r.sourceIPAddress'])}"
            f" WHEN {user}.type = 'Root' AND {user}.userName IS NULL THEN 'root'"
            f" ELSE {first([f'{user}.userName', f'{issuer}.userName'])} END"
        ),
        "actor_user_type": f"CASE {user}.type {types} ELSE {user}.type END",
        "actor_user_credential_uid": first([f"nullif({user}.accessKeyId, '')", f"{user}.credentialId"]),
        "actor_user_account_uid": f"{user}.accountId",
        "actor_session_uid": (
            f"CASE WHEN {one_of(f'{user}.type', ['AssumedRole', 'FederatedUser'])}"
            f" THEN {d['after_colon'](f'{user}.principalId')} END"
        ),
        "actor_session_issuer": f"{issuer}.arn",
        "actor_session_is_mfa": mfa,
        "actor_invoked_by": f"{user}.invokedBy",
        "user_uid": f"CASE WHEN {about_user} THEN {first([parameter('roleArn'), f'{user}.arn'])} END",
        "user_name": (
            f"CASE WHEN {about_user} THEN"
            f" {first([*parameters(['userName', 'name', 'roleName']), f'{user}.userName', f'{issuer}.userName'])} END"
        ),
        "is_mfa": f"CASE WHEN class_uid = 3002 THEN {mfa} END",
        "src_endpoint_ip": f"CASE WHEN {ip} THEN r.sourceIPAddress END",
        "src_endpoint_uid": "r.vpcEndpointId",
        "src_is_internal": f"CASE WHEN {ip} THEN {d['matches']('r.sourceIPAddress', INTERNAL)} END",
        "dst_endpoint_hostname": "r.tlsDetails.clientProvidedHostHeader",
        "api_operation": "r.eventName",
        "api_service_name": "r.eventSource",
        "api_request_uid": first(["r.requestID", "r.eventID"]),
        "api_response_error": "r.errorCode",
        "resource_uid": first([d["first_arn"], *parameters(RESOURCE_UIDS)]),
        "resource_name": f"CASE WHEN {d['first_arn']} IS NULL THEN {first(parameters(RESOURCE_NAMES))} END",
        "http_user_agent": "r.userAgent",
    }  # fmt: skip


def select(dialect):
    """The columns as the list of a SELECT."""
    return ",\n".join(f"{expression} AS {name}" for name, expression in columns(dialect).items())
