//! The hidden attack: one stolen person, one address, three clouds.
//!
//! A leaked access key is tried from an unusual address, which looks around, makes itself a user
//! with a key and all rights, fails to stop the trail, and empties a bucket. The same person's
//! Entra account signs in from that address without a second factor, makes itself owner of a
//! subscription and of a project, and hosts of all three clouds send gigabytes to the address.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::{
    Kind,
    cloudtrail::call::{Call, read, write},
    plan::Span,
    scene::random,
    sink::Pending,
    world::{Person, World},
};

/// What was hidden, to look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttackStory {
    /// Address of the attacker, in all sources.
    pub ip: String,
    /// The stolen person: user name in AWS.
    pub user: String,
    /// The stolen person: e-mail and sign-in name in Azure and GCP.
    pub email: String,
    /// The leaked access key.
    pub leaked_key: String,
    /// The user that the attacker creates in AWS.
    pub new_user: String,
    /// The access key of that user.
    pub new_key: String,
    /// The bucket that is emptied.
    pub bucket: String,
    /// The attacked AWS account.
    pub account: String,
    /// The attacked Azure subscription.
    pub subscription: String,
    /// The attacked GCP project.
    pub project: String,
    /// First event, epoch milliseconds.
    pub from_ms: i64,
    /// Last event, epoch milliseconds.
    pub until_ms: i64,
    /// Raw events of the attack in each source that was written, by source name.
    pub events: BTreeMap<String, u64>,
}

/// A call of the attacker.
#[derive(Debug)]
pub(super) struct Step {
    /// Minutes after the start.
    minute: i64,
    /// How often, and seconds between.
    times: (i64, i64),
    /// Made with the new user's key.
    pub(super) new_key: bool,
    pub(super) call: Call,
}

const fn once(minute: i64, call: Call) -> Step {
    Step { minute, times: (1, 0), new_key: false, call }
}

const DENIED: &str = r#""errorCode":"AccessDenied","errorMessage":"User: <@arn> is not authorized to perform: {action} on resource: * because no identity-based policy allows the {action} action","#;

/// The attacker's calls in AWS.
pub(super) const TRAIL: &[Step] = &[
    once(0, read("", 0, "sts", "GetCallerIdentity", "null")),
    once(1, read("", 0, "iam", "ListUsers", r#"{"maxItems":1000}"#)),
    once(1, read("", 0, "s3", "ListBuckets", r#"{"Host":"s3.<@region>.amazonaws.com"}"#).more("<&s3more>")),
    once(2, read("", 0, "iam", "ListRoles", r#"{"maxItems":1000}"#)),
    once(2, read("", 0, "iam", "ListAttachedUserPolicies", r#"{"userName":"<@victim>"}"#)),
    once(3, read("", 0, "ec2", "DescribeInstances", r#"{"maxResults":1000,"instancesSet":{},"filterSet":{}}"#)),
    once(3, read("", 0, "secretsmanager", "ListSecrets", r#"{"maxResults":100}"#)),
    once(4, read("", 0, "iam", "GetAccountAuthorizationDetails", "null").always_fails(DENIED)),
    once(4, read("", 0, "organizations", "ListAccounts", "null").always_fails(DENIED)),
    once(7, write("", 0, "iam", "CreateUser", r#"{"userName":"<@newUser>"}"#, r#"{"user":{"path":"/","userName":"<@newUser>","userId":"<@newUserId>","arn":"arn:aws:iam::<@account>:user/<@newUser>","createDate":"<us>"}}"#)),
    once(8, write("", 0, "iam", "CreateAccessKey", r#"{"userName":"<@newUser>"}"#, r#"{"accessKey":{"userName":"<@newUser>","accessKeyId":"<@newKey>","status":"Active","createDate":"<us>"}}"#)),
    once(9, write("", 0, "iam", "AttachUserPolicy", r#"{"userName":"<@newUser>","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#, "null")),
    once(11, write("", 0, "cloudtrail", "StopLogging", r#"{"name":"arn:aws:cloudtrail:<@region>:<@account>:trail/management-events"}"#, "null").always_fails(DENIED)),
    Step { minute: 13, times: (1, 0), new_key: true, call: read("", 0, "sts", "GetCallerIdentity", "null") },
    Step {
        minute: 14,
        times: (120, 4),
        new_key: true,
        call: read("", 0, "s3", "GetObject", r#"{"bucketName":"<@lootBucket>","Host":"<@lootBucket>.s3.<@region>.amazonaws.com","key":"customers/<digits 4>/profile-<hex 8>.parquet"}"#)
            .data()
            .more("<&s3more>")
            .on(r#"[{"accountId":"<@account>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::<@lootBucket>"}]"#),
    },
];

/// Minutes after the start at which the other sources report.
const SIGN_IN_MINUTE: i64 = 31;
const OWNER_MINUTE: i64 = 36;
const GRANT_MINUTE: i64 = 52;
const FLOW_MINUTES: [i64; 5] = [15, 17, 19, 21, 23];

/// Bytes of each flow to the attacker.
const FLOW_BYTES: [i64; 5] = [612_448_120, 1_204_906_032, 988_120_544, 1_431_655_760, 402_733_208];

/// Where in the span the attack starts, in percent, and the span below which it is compressed.
const START_PERCENT: i64 = 58;
const FULL_SPAN_MS: i64 = 4 * 3_600_000;

/// The story of a world: the same for the same seed.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) person: Person,
    pub(super) ip: String,
    principal: String,
    leaked_key: String,
    new_user: String,
    new_user_id: String,
    new_key: String,
    bucket: String,
    account: String,
}

impl Story {
    pub(super) fn new(world: &World) -> Self {
        let mut rng = world.rng("attack", 0);
        let person = world.people[rng.usize(..world.people.len())].clone();
        Self {
            person,
            ip: format!("198.51.100.{}", rng.u8(2..254)),
            principal: id("AIDA", 17, &mut rng),
            leaked_key: id("AKIA", 16, &mut rng),
            new_user: "svc-backup-sync".to_owned(),
            new_user_id: id("AIDA", 17, &mut rng),
            new_key: id("AKIA", 16, &mut rng),
            bucket: format!("northwind-customers-prod-{:04}", rng.u16(..10_000)),
            account: world.aws[0].account.clone(),
        }
    }

    /// Times and numbers of the steps of one source.
    pub(super) fn schedule(kind: Kind, span: Span) -> Pending {
        let length_ms = span.length_ms();
        let from_ms = span.from_ms + length_ms / 100 * START_PERCENT;
        let at = |minute: i64, second: i64| {
            from_ms + (minute * 60 + second) * 1000 * length_ms.min(FULL_SPAN_MS) / FULL_SPAN_MS
        };
        let one = |minute| Pending::from([(at(minute, 21), 0)]);
        match kind {
            Kind::CloudTrail => TRAIL
                .iter()
                .enumerate()
                .flat_map(|(step, row)| {
                    (0..row.times.0)
                        .map(move |time| (at(row.minute, 3 + step as i64 + time * row.times.1), step))
                })
                .collect(),
            Kind::SignIn => one(SIGN_IN_MINUTE),
            Kind::Activity => one(OWNER_MINUTE),
            Kind::GcpAudit => one(GRANT_MINUTE),
            Kind::VpcFlow | Kind::VnetFlow | Kind::NsgFlow | Kind::GcpVpcFlow => {
                FLOW_MINUTES.iter().enumerate().map(|(step, minute)| (at(*minute, 40), step)).collect()
            }
        }
    }

    /// Bytes of a flow to the attacker.
    pub(super) fn flow_bytes(step: usize) -> i64 {
        FLOW_BYTES[step % FLOW_BYTES.len()]
    }

    /// The stolen person as a value of the trail's pool of users: name, principal and key.
    pub(super) fn victim(&self) -> String {
        format!("{}|{}|{}", self.person.user, self.principal, self.leaked_key)
    }

    /// Variables of the templates of [`TRAIL`].
    pub(super) fn trail_vars(&self) -> [(&'static str, &str); 5] {
        [
            ("victim", &self.person.user),
            ("newUser", &self.new_user),
            ("newUserId", &self.new_user_id),
            ("newKey", &self.new_key),
            ("lootBucket", &self.bucket),
        ]
    }

    /// What a session says with the leaked key and with the new one, in the order of the trail's
    /// session variables: identity, ARN, agent, address, endpoint, TLS, console and version.
    pub(super) fn trail_sessions(&self) -> [[String; 8]; 2] {
        [(&self.person.user, &self.principal, &self.leaked_key), (&self.new_user, &self.new_user_id, &self.new_key)].map(
            |(user, principal, key)| {
                let account = &self.account;
                let arn = format!("arn:aws:iam::{account}:user/{user}");
                let identity = format!(
                    r#"{{"type":"IAMUser","principalId":"{principal}","arn":"{arn}","accountId":"{account}","accessKeyId":"{key}","userName":"{user}"}}"#
                );
                let agent = "aws-cli/1.22.34 Python/3.10.12 Linux/6.5.0-kali3-amd64 botocore/1.23.34".to_owned();
                let tls = r#""tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256""#.to_owned();
                [identity, arn, agent, self.ip.clone(), String::new(), tls, String::new(), "1.11".to_owned()]
            },
        )
    }

    /// The story to tell, of the given sources.
    pub(super) fn tell(&self, world: &World, span: Span, kinds: &[Kind]) -> AttackStory {
        let schedules: Vec<(Kind, Pending)> =
            kinds.iter().map(|kind| (*kind, Self::schedule(*kind, span))).collect();
        let times = || schedules.iter().flat_map(|(_, steps)| steps).map(|step| step.0);
        let events = schedules.iter().map(|(kind, steps)| (kind.name().to_owned(), steps.len() as u64));
        AttackStory {
            ip: self.ip.clone(),
            user: self.person.user.clone(),
            email: self.person.email.clone(),
            leaked_key: self.leaked_key.clone(),
            new_user: self.new_user.clone(),
            new_key: self.new_key.clone(),
            bucket: self.bucket.clone(),
            account: self.account.clone(),
            subscription: world.subscriptions[0].clone(),
            project: world.projects[0].clone(),
            from_ms: times().min().unwrap_or(span.from_ms),
            until_ms: times().max().unwrap_or(span.from_ms),
            events: events.collect(),
        }
    }
}

fn id(prefix: &str, len: usize, rng: &mut Rng) -> String {
    let mut out = prefix.as_bytes().to_vec();
    random(rng, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", len, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
