"""`peer_polars.py INPUT OUTPUT whole|lines`: polars, one thread, typed schema, no inference."""

import gzip
import os
import sys
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"
import polars as pl  # noqa: E402  (it reads the variable when it is loaded)

import mapping  # noqa: E402
from peer import cpu_seconds, folders, report  # noqa: E402


def type_of(field):
    match field:
        case "text":
            return pl.String
        case "bool":
            return pl.Boolean
        case [element]:
            return pl.List(type_of(element))
        case _:
            return pl.Struct({name: type_of(inner) for name, inner in field.items()})


def at(path):
    """The value at a path of names, such as `userIdentity.arn`."""
    first, *rest = path.split(".")
    value = pl.col(first)
    for name in rest:
        value = value.struct.field(name)
    return value


def first(*paths):
    return pl.coalesce(*(at(path) for path in paths))


def full(path):
    """The text at a path unless it is empty."""
    return choose(at(path) != "", at(path))


def parameters(names):
    return first(*(f"requestParameters.{name}" for name in names))


def event(sources, names):
    return pl.col("eventSource").is_in(sources) & pl.col("eventName").is_in(names)


def number(value):
    return pl.lit(value, dtype=pl.Int32)


def choose(condition, then, other=None):
    return pl.when(condition).then(then).otherwise(other)


def numbers():
    """The numbers that other columns are made of."""
    m = mapping
    group = parameters(["groupName", "groupId", "displayName"]).is_not_null()
    grant = parameters(["policyArn", "policyName", "permissionSetArn"]).is_not_null()
    class_uid = (
        pl.when(event(m.SIGN_IN_SOURCES, m.SIGN_INS) | event(m.ROLE_SOURCES, m.ROLES)).then(number(3002))
        .when(event(m.ACCOUNT_SOURCES, m.ACCOUNT_CHANGES)).then(number(3001))
        .when(event(m.GROUP_SOURCES, m.GROUP_CHANGES) & group).then(number(3006))
        .when(event(m.GRANT_SOURCES, m.GRANTS) & grant).then(number(3005))
        .otherwise(number(6003))
    )  # fmt: skip
    denied = at("responseElements.ConsoleLogin").eq_missing("Failure")
    failed = pl.col("errorCode").is_not_null() | pl.col("errorMessage").is_not_null() | denied
    return {
        "class_uid": class_uid,
        "activity_id": choose(pl.col("readOnly"), number(2), number(1)),
        "failed": failed,
        "mfa": at("userIdentity.sessionContext.attributes.mfaAuthenticated") == "true",
        "address": pl.col("sourceIPAddress").str.contains(m.ADDRESS),
        "first_arn": pl.col("resources").list.get(0, null_on_oob=True).struct.field("ARN"),
    }


def columns():
    m = mapping
    class_uid, kind = pl.col("class_uid"), at("userIdentity.type")
    about_user = class_uid.is_in([3001, 3002])
    login = first("userIdentity.userName", "userIdentity.sessionContext.sessionIssuer.userName")
    root = (kind == "Root") & at("userIdentity.userName").is_null()
    denied = pl.col("errorCode").is_in(m.DENIALS).fill_null(False)
    names = [f"requestParameters.{name}" for name in ["userName", "name", "roleName"]]
    names += ["userIdentity.userName", "userIdentity.sessionContext.sessionIssuer.userName"]
    return {
        "time": pl.col("eventTime").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us"),
        "class_uid": class_uid,
        "category_uid": choose(class_uid < 6000, number(3), number(6)),
        "activity_id": pl.col("activity_id"),
        "type_uid": class_uid * 100 + pl.col("activity_id"),
        "severity_id": choose(denied | ((class_uid == 3002) & pl.col("failed")), number(2), number(1)),
        "status_id": choose(pl.col("failed"), number(2), number(1)),
        "status_code": pl.col("errorCode"),
        "source": pl.lit("aws.cloudtrail"),
        "metadata_uid": pl.col("eventID"),
        "metadata_log_name": pl.lit("aws.cloudtrail"),
        "cloud_provider": pl.lit("AWS"),
        "cloud_account_uid": first("recipientAccountId", "userIdentity.accountId"),
        "cloud_region": pl.col("awsRegion"),
        "actor_user_uid": pl.coalesce(
            full("userIdentity.arn"), at("userIdentity.onBehalfOf.userId"), full("userIdentity.principalId")
        ),
        "actor_user_name": pl.when(kind == "AWSService").then(first("userIdentity.invokedBy", "sourceIPAddress"))
        .when(root).then(pl.lit("root")).otherwise(login),
        "actor_user_type": kind.replace(m.USER_TYPES),
        "actor_user_credential_uid": pl.coalesce(full("userIdentity.accessKeyId"), at("userIdentity.credentialId")),
        "actor_user_account_uid": at("userIdentity.accountId"),
        "actor_session_uid": choose(
            kind.is_in(["AssumedRole", "FederatedUser"]),
            at("userIdentity.principalId").str.split_exact(":", 1).struct.field("field_1"),
        ),
        "actor_session_issuer": at("userIdentity.sessionContext.sessionIssuer.arn"),
        "actor_session_is_mfa": pl.col("mfa"),
        "actor_invoked_by": at("userIdentity.invokedBy"),
        "user_uid": choose(about_user, first("requestParameters.roleArn", "userIdentity.arn")),
        "user_name": choose(about_user, first(*names)),
        "is_mfa": choose(class_uid == 3002, pl.col("mfa")),
        "src_endpoint_ip": choose(pl.col("address"), pl.col("sourceIPAddress")),
        "src_endpoint_uid": pl.col("vpcEndpointId"),
        "src_is_internal": choose(pl.col("address"), pl.col("sourceIPAddress").str.contains(m.INTERNAL)),
        "dst_endpoint_hostname": at("tlsDetails.clientProvidedHostHeader"),
        "api_operation": pl.col("eventName"),
        "api_service_name": pl.col("eventSource"),
        "api_request_uid": first("requestID", "eventID"),
        "api_response_error": pl.col("errorCode"),
        "resource_uid": pl.coalesce(pl.col("first_arn"), parameters(m.RESOURCE_UIDS)),
        "resource_name": choose(pl.col("first_arn").is_null(), parameters(m.RESOURCE_NAMES)),
        "http_user_agent": pl.col("userAgent"),
    }  # fmt: skip


def main():
    files, out = folders()
    event_type = type_of(mapping.FIELDS)
    derived, selected = numbers(), columns()
    started = cpu_seconds()

    def read(file):
        text = gzip.decompress(Path(file).read_bytes())
        if sys.argv[3] == "lines":
            events = pl.read_ndjson(text, schema=dict(event_type))
        else:
            documents = pl.read_json(text, schema={"Records": pl.List(event_type)})
            events = documents.explode("Records").unnest("Records")
        return events.lazy().with_columns(**derived).select(**selected).collect()

    rows = pl.concat([read(file) for file in files])
    rows.write_parquet(out / "rows.parquet", compression="zstd", compression_level=3)
    report("polars", pl.__version__, started, rows.height)


main()
