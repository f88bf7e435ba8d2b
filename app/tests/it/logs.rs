//! Events and files of our own making: what goes in is known event by event.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

/// A CloudTrail record; every third is a sign-in, every third a call that only reads.
pub(crate) fn trail(number: u64) -> Value {
    let call = json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDAEXAMPLE", "accountId": "111122223333", "userName": "ann",
            "arn": "arn:aws:iam::111122223333:user/ann"
        },
        "eventTime": time(number),
        "eventSource": "ec2.amazonaws.com",
        "eventName": if number % 3 == 1 { "DescribeInstances" } else { "RunInstances" },
        "awsRegion": "eu-central-1",
        "sourceIPAddress": format!("203.0.113.{}", number % 200),
        "userAgent": "console.amazonaws.com",
        "requestParameters": { "maxResults": number, "note": filling(number) },
        "responseElements": null,
        "eventID": event_id(number),
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management"
    });
    if !number.is_multiple_of(3) {
        return call;
    }
    let mut sign_in = call;
    sign_in["eventSource"] = json!("signin.amazonaws.com");
    sign_in["eventName"] = json!("ConsoleLogin");
    sign_in["eventType"] = json!("AwsConsoleSignIn");
    sign_in["requestParameters"] = Value::Null;
    sign_in["responseElements"] = json!({ "ConsoleLogin": "Success" });
    sign_in["additionalEventData"] =
        json!({ "MFAUsed": "Yes", "LoginTo": "https://console.aws.amazon.com/" });
    sign_in
}

/// The id that CloudTrail would give the record.
pub(crate) fn event_id(number: u64) -> String {
    format!("{number:08x}-aaaa-4bbb-8ccc-{number:012x}")
}

/// A line of a VPC flow log with the default fields; every fifth says that nothing flowed.
pub(crate) fn flow(number: u64) -> String {
    let (start, end) = (seconds(number), seconds(number) + 60);
    if number % 5 == 4 {
        return format!("2 111122223333 eni-0a1b2c3d - - - - - - - {start} {end} - NODATA");
    }
    let (from, to) = (number % 250, number % 7);
    format!(
        "2 111122223333 eni-0a1b2c3d 10.0.0.{from} 10.0.1.{to} 443 {number} 6 9 840 {start} {end} ACCEPT OK"
    )
}

/// The header of [`flow`] lines.
pub(crate) const FLOW_HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol \
                                      packets bytes start end action log-status";

/// A moment of the hour before the tests began.
fn seconds(number: u64) -> u64 {
    static BEGAN: LazyLock<u64> =
        LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    *BEGAN - 3600 + number % 3600
}

fn time(number: u64) -> String {
    jiff::Timestamp::from_second(seconds(number).cast_signed()).unwrap().to_string()
}

/// Some text that does not compress to nothing.
fn filling(number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number);
    std::iter::repeat_with(|| random.alphanumeric()).take(400).collect()
}

/// One gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes files of CloudTrail records, numbered from `first`, into `folder`; gives the number after
/// the last record.
pub(crate) fn write_trails(folder: &Path, first: u64, files: u64, records: u64) -> u64 {
    fs::create_dir_all(folder).unwrap();
    for file in 0..files {
        let start = first + file * records;
        let trails: Vec<Value> = (start..start + records).map(trail).collect();
        let body = serde_json::to_vec(&json!({ "Records": trails })).unwrap();
        fs::write(folder.join(format!("{start:08}.json.gz")), gzip(&body)).unwrap();
    }
    first + files * records
}
