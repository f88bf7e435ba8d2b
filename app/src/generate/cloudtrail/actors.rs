//! Who calls: the kinds of principals, their names, credentials, tools and addresses.

use super::super::{template::Names, world::PERSON};

/// A kind of principal. All texts are templates, rendered once a session.
#[derive(Debug)]
pub(super) struct Actor {
    /// Its letter in the tables of calls.
    pub(super) letter: char,
    /// Share of the sessions.
    pub(super) weight: u32,
    /// `userIdentity`.
    pub(super) identity: &'static str,
    /// ARN in messages of errors.
    pub(super) arn: &'static str,
    /// `userAgent`.
    pub(super) agent: &'static str,
    /// `sourceIPAddress`.
    pub(super) address: &'static str,
    /// VPC endpoint, empty if the call comes from outside.
    pub(super) endpoint: &'static str,
    /// The first part of `tlsDetails`, empty if there is none.
    pub(super) tls: &'static str,
    /// Not empty for the console's credentials.
    pub(super) console: &'static str,
    /// Calls of a session.
    pub(super) calls: (usize, usize),
    /// Percentage of calls that fail.
    pub(super) failing: u8,
}

const TLS: &str = "<&tls>";

/// All kinds of principals.
pub(super) const ACTORS: &[Actor] = &[
    // W: a workload on an instance.
    Actor {
        letter: 'W',
        weight: 26,
        identity: r#"{"type":"AssumedRole","principalId":"<role.1>:<instance>","arn":"arn:aws:sts::<@account>:assumed-role/<role>/<instance>","accountId":"<@account>","accessKeyId":"ASIA<base32 16>",<&session>,"ec2RoleDelivery":"<pick 1.0|2.0|2.0>"<?12>,"inScopeOf":{"issuerType":"AWS::EC2::Instance","credentialsIssuedTo":"arn:aws:ec2:<@region>:<@account>:instance/<instance>"}<)>}}"#,
        arn: "arn:aws:sts::<@account>:assumed-role/<role>/<instance>",
        agent: "<sdk>",
        address: "<(><natIp><|><privateIp><|><privateIp><)>",
        endpoint: "<?30><endpoint><)>",
        tls: "<?80><&tls><)>",
        console: "",
        calls: (8, 70),
        failing: 4,
    },
    // K: a pod with a web identity.
    Actor {
        letter: 'K',
        weight: 14,
        identity: r#"{"type":"AssumedRole","principalId":"<role.1>:<pod>","arn":"arn:aws:sts::<@account>:assumed-role/<role>/<pod>","accountId":"<@account>","accessKeyId":"ASIA<base32 16>","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"<role.1>","arn":"arn:aws:iam::<@account>:role/<role>","accountId":"<@account>","userName":"<role>"},"webIdFederationData":{"federatedProvider":"arn:aws:iam::<@account>:oidc-provider/oidc.eks.<@region>.amazonaws.com/id/<oidc>","attributes":{}},"attributes":{"creationDate":"<iso 0 -1200>Z","mfaAuthenticated":"false"}}}"#,
        arn: "arn:aws:sts::<@account>:assumed-role/<role>/<pod>",
        agent: "<sdk>",
        address: "<(><natIp><|><privateIp><)>",
        endpoint: "<?30><endpoint><)>",
        tls: TLS,
        console: "",
        calls: (6, 50),
        failing: 3,
    },
    // L: a Lambda function.
    Actor {
        letter: 'L',
        weight: 12,
        identity: r#"{"type":"AssumedRole","principalId":"<role.1>:<function>","arn":"arn:aws:sts::<@account>:assumed-role/<role>/<function>","accountId":"<@account>","accessKeyId":"ASIA<base32 16>",<&session><?12>,"inScopeOf":{"sourceArn":"arn:aws:lambda:<@region>:<@account>:function:<function>","sourceAccount":"<@account>","issuerType":"AWS::Lambda::Function","credentialsIssuedTo":"arn:aws:lambda:<@region>:<@account>:function:<function>"}<)>}<?10>,"invokedBy":"<pick AWS Internal|cloudformation.amazonaws.com>"<)>}"#,
        arn: "arn:aws:sts::<@account>:assumed-role/<role>/<function>",
        agent: "<sdk> exec-env/AWS_Lambda_<pick python3.12|nodejs20.x|java21>",
        address: "<natIp>",
        endpoint: "",
        tls: TLS,
        console: "",
        calls: (4, 30),
        failing: 3,
    },
    // T: infrastructure as code in a pipeline.
    Actor {
        letter: 'T',
        weight: 13,
        identity: r#"{"type":"AssumedRole","principalId":"<role.1>:<run>","arn":"arn:aws:sts::<@account>:assumed-role/<role>/<run>","accountId":"<@account>","accessKeyId":"ASIA<base32 16>",<&session>}<?10>,"invokedBy":"cloudformation.amazonaws.com"<)>}"#,
        arn: "arn:aws:sts::<@account>:assumed-role/<role>/<run>",
        agent: "<terraform>",
        address: "<runnerIp>",
        endpoint: "",
        tls: TLS,
        console: "",
        calls: (12, 80),
        failing: 3,
    },
    // H: a person in the console, through Identity Center.
    Actor {
        letter: 'H',
        weight: 9,
        identity: r#"{"type":"AssumedRole","principalId":"<sso.1>:<person.1>","arn":"arn:aws:sts::<@account>:assumed-role/<sso>/<person.1>","accountId":"<@account>","accessKeyId":"ASIA<base32 16>","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"<sso.1>","arn":"arn:aws:iam::<@account>:role/aws-reserved/sso.amazonaws.com/<sso>","accountId":"<@account>","userName":"<sso>"},<?50>"webIdFederationData":{},<)>"attributes":{"creationDate":"<iso 0 -2400>Z","mfaAuthenticated":"false"}}}"#,
        arn: "arn:aws:sts::<@account>:assumed-role/<sso>/<person.1>",
        agent: "<(><browser><|><browser><|>AWS Internal<)>",
        address: "<(><person.6><|><person.6><|><officeIp><|><ip6><)>",
        endpoint: "",
        tls: "<?70><&tls><)>",
        console: "true",
        calls: (8, 70),
        failing: 6,
    },
    // U: a user with a long-lived key, on the command line.
    Actor {
        letter: 'U',
        weight: 12,
        identity: r#"{"type":"IAMUser","principalId":"<user.1>","arn":"arn:aws:iam::<@account>:user/<user>","accountId":"<@account>","accessKeyId":"<user.2>","userName":"<user>"}"#,
        arn: "arn:aws:iam::<@account>:user/<user>",
        agent: "<cli>",
        address: "<(><officeIp><|><runnerIp><|><ip><)>",
        endpoint: "",
        tls: TLS,
        console: "",
        calls: (8, 70),
        failing: 6,
    },
    // C: the same in the console.
    Actor {
        letter: 'C',
        weight: 5,
        identity: r#"{"type":"IAMUser","principalId":"<user.1>","arn":"arn:aws:iam::<@account>:user/<user>","accountId":"<@account>","accessKeyId":"ASIA<base32 16>","userName":"<user>","sessionContext":{<?40>"sessionIssuer":{},"webIdFederationData":{},<)>"attributes":{"creationDate":"<iso 0 -1500>Z","mfaAuthenticated":"<pick true|true|false>"}}}"#,
        arn: "arn:aws:iam::<@account>:user/<user>",
        agent: "<browser>",
        address: "<(><officeIp><|><ip><)>",
        endpoint: "",
        tls: "<?50><&tls><)>",
        console: "true",
        calls: (5, 40),
        failing: 5,
    },
    // M: a monitoring service in another account.
    Actor {
        letter: 'M',
        weight: 9,
        identity: r#"{"type":"AssumedRole","principalId":"<role.1>:MonitoringIntegration","arn":"arn:aws:sts::<@account>:assumed-role/<role>/MonitoringIntegration","accountId":"<@account>","accessKeyId":"ASIA<base32 16>",<&session>}}"#,
        arn: "arn:aws:sts::<@account>:assumed-role/<role>/MonitoringIntegration",
        agent: "<(>Boto3/1.34.<int 10 90> md/Botocore#1.34.10 ua/2.0 os/linux#5.15.0 md/arch#x86_64 lang/python#3.11.7 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.34.10<|>Metrics-Collector/7.<int 40 58>.0<)>",
        address: "<scannerIp>",
        endpoint: "",
        tls: TLS,
        console: "",
        calls: (20, 120),
        failing: 8,
    },
    // V: a service on its own behalf.
    Actor {
        letter: 'V',
        weight: 14,
        identity: r#"{"type":"AWSService","invokedBy":"<awsService>"}"#,
        arn: "",
        agent: "<awsService>",
        address: "<awsService>",
        endpoint: "",
        tls: "",
        console: "",
        calls: (10, 60),
        failing: 0,
    },
    // X: another account.
    Actor {
        letter: 'X',
        weight: 2,
        identity: r#"{"type":"AWSAccount","principalId":"AROA<base32 17>:<pick partner-sync|etl|backup>","accountId":"<otherAccount>"}"#,
        arn: "arn:aws:sts::<otherAccount>:assumed-role/partner/sync",
        agent: "<sdk>",
        address: "<ip>",
        endpoint: "",
        tls: TLS,
        console: "",
        calls: (2, 20),
        failing: 12,
    },
    // F: a federated user.
    Actor {
        letter: 'F',
        weight: 1,
        identity: r#"{"type":"FederatedUser","principalId":"<@account>:<person>","arn":"arn:aws:sts::<@account>:federated-user/<person>","accountId":"<@account>","accessKeyId":"ASIA<base32 16>","sessionContext":{"sessionIssuer":{"type":"IAMUser","principalId":"<user.1>","arn":"arn:aws:iam::<@account>:user/<user>","accountId":"<@account>","userName":"<user>"},"attributes":{"creationDate":"<iso 0 -900>Z","mfaAuthenticated":"false"}}}"#,
        arn: "arn:aws:sts::<@account>:federated-user/<person>",
        agent: "<cli>",
        address: "<person.6>",
        endpoint: "",
        tls: TLS,
        console: "",
        calls: (3, 20),
        failing: 6,
    },
    // I: a person as Identity Center sees them.
    Actor {
        letter: 'I',
        weight: 2,
        identity: r#"{"type":"IdentityCenterUser","accountId":"<@account>","onBehalfOf":{"userId":"<person.3>","identityStoreArn":"arn:aws:identitystore::<@account>:identitystore/d-<hex 10>"},"credentialId":"<base64 86>"}"#,
        arn: "<person.1>",
        agent: "<browser>",
        address: "<person.6>",
        endpoint: "",
        tls: TLS,
        console: "",
        calls: (3, 12),
        failing: 3,
    },
    // R: root.
    Actor {
        letter: 'R',
        weight: 2,
        identity: r#"{"type":"Root","principalId":"<@account>","arn":"arn:aws:iam::<@account>:root","accountId":"<@account>","accessKeyId":"ASIA<base32 16>"<?40>,"userName":"northwind-billing"<)>,"sessionContext":{"attributes":{"creationDate":"<iso 0 -600>Z","mfaAuthenticated":"true"}}}"#,
        arn: "arn:aws:iam::<@account>:root",
        agent: "<browser>",
        address: "<officeIp>",
        endpoint: "",
        tls: "<&tls>",
        console: "true",
        calls: (4, 14),
        failing: 2,
    },
];

/// What the templates of `CloudTrail` may name.
pub(super) const NAMES: Names = Names {
    vars: &[
        "account",
        "region",
        "identity",
        "arn",
        "agent",
        "address",
        "endpoint",
        "tls",
        "console",
        "failed",
        "version",
        // The attack's own names.
        "victim",
        "newUser",
        "newUserId",
        "newKey",
        "lootBucket",
    ],
    pools: &[
        PERSON,
        (
            "role",
            40,
            "<pick orders|billing|search|ingest|etl|web|auth|reports|media|notify>-<pick api|worker|batch|stream|cron>-<pick prod|prod|stage|dev>-<pick role|task|node|irsa>|AROA<base32 17>",
        ),
        (
            "sso",
            6,
            "AWSReservedSSO_<pick Administrator|ReadOnly|PowerUser|Billing|Developer|Support>Access_<hex 16>|AROA<base32 17>",
        ),
        (
            "user",
            24,
            "<pick svc-backup|svc-metrics|deploy|ci-runner|legacy-import|mail-relay|partner-feed|report-job|admin>-<digits 2>|AIDA<base32 17>|AKIA<base32 16>",
        ),
        ("instance", 60, "i-0<hex 16>"),
        ("image", 12, "ami-0<hex 16>"),
        ("volume", 40, "vol-0<hex 16>"),
        ("snapshot", 40, "snap-0<hex 16>"),
        ("vpc", 4, "vpc-0<hex 16>"),
        ("subnet", 12, "subnet-0<hex 16>"),
        ("group", 25, "sg-0<hex 16>|<pick web|db|cache|lb|bastion|default|nodes>-<hex 4>"),
        ("eni", 60, "eni-0<hex 16>"),
        ("endpoint", 5, "vpce-0<hex 16>"),
        ("zone", 3, "<@region><pick a|b|c>"),
        (
            "bucket",
            30,
            "<pick northwind|atlas|harbor|lumen>-<pick logs|assets|exports|datalake|backups|invoices|models|artifacts>-<pick prod|stage|dev>-<digits 4>",
        ),
        (
            "object",
            400,
            "<pick raw|curated|exports|img|checkpoints|tmp>/<pick orders|events|users|clicks|invoices>/<pick dt=2026-03-|v>0<int 1 9>/part-<digits 5>-<hex 8>.<pick parquet|json.gz|csv|avro|png>",
        ),
        ("key", 15, "<uuid>"),
        ("alias", 8, "alias/<pick app|ebs|s3|rds|logs|secrets>-<pick prod|dev>"),
        ("table", 20, "<pick orders|sessions|carts|locks|users|events|flags>-<pick prod|stage|dev>"),
        (
            "function",
            30,
            "<pick resize|ingest|notify|enrich|cleanup|rotate|webhook|report>-<pick image|event|user|secret|order>-<pick prod|dev>",
        ),
        ("queue", 15, "<pick orders|emails|jobs|events|dead-letters>-<pick prod|dev>"),
        (
            "logGroup",
            40,
            "/aws/<pick lambda|ecs|rds/instance|apigateway|eks>/<pick resize|orders|billing|search|auth>-<pick prod|dev>-<hex 4>",
        ),
        ("cluster", 6, "<pick core|batch|edge>-<pick prod|stage|dev>"),
        (
            "secret",
            25,
            "<pick prod|stage|dev>/<pick db|api|smtp|oauth|stripe>/<pick orders|billing|auth|search>|<base62 6>",
        ),
        (
            "parameter",
            40,
            "/<pick prod|stage|dev>/<pick orders|billing|auth|search>/<pick db-url|feature-flags|api-token|log-level|endpoint>",
        ),
        ("database", 10, "<pick orders|billing|reporting|auth>-<pick aurora|postgres|mysql>-<digits 2>"),
        ("stack", 20, "<pick network|iam|app|data|monitoring>-<pick prod|stage|dev>|<uuid>"),
        ("hostedZone", 5, "Z<base36 20>"),
        ("oidc", 3, "<base36 32>"),
        ("pod", 50, "<pick orders|billing|search|ingest>-<hex 10>-<hex 5>"),
        ("run", 12, "<pick gha-deploy|terraform-plan|terraform-apply|pipeline>-<digits 6>"),
        (
            "awsService",
            12,
            "<pick ec2|lambda|rds|autoscaling|ecs-tasks|config|guardduty|cloudtrail|eks|backup|delivery.logs|elasticloadbalancing|spot>.amazonaws.com",
        ),
        ("otherAccount", 6, "<digits 12>"),
        ("privateIp", 80, "<ip10>"),
        ("natIp", 6, "<ip>"),
        ("officeIp", 4, "<ip>"),
        ("runnerIp", 60, "<ip>"),
        ("scannerIp", 8, "<ip>"),
        (
            "sdk",
            14,
            "<(>aws-sdk-go-v2/1.<int 20 30>.<int 0 9> os/linux lang/go#1.2<int 1 3>.<int 0 9> md/GOOS#linux md/GOARCH#amd64 api/<pick s3|sts|kms|dynamodb|ec2>#1.<int 20 70>.<int 0 9><|>Boto3/1.3<int 0 6>.<int 0 99> md/Botocore#1.34.<int 0 99> ua/2.1 os/linux#6.1.<int 50 99> md/arch#<pick x86_64|aarch64> lang/python#3.1<int 0 2>.<int 0 9> md/pyimpl#CPython cfg/retry-mode#standard<|>aws-sdk-java/2.2<int 0 9>.<int 0 99> md/io#async md/http#NettyNio Linux/5.10 OpenJDK_64-Bit_Server_VM/17.0.<int 5 12> Java/17 kotlin/1.9<|>aws-sdk-js/3.<int 300 700>.0 ua/2.0 os/linux#5.10 lang/js md/nodejs#20.<int 1 15>.0 api/<pick s3|sqs|lambda>#3.500.0<|>aws-sdk-go/1.5<int 0 5>.<int 0 40> (go1.21.5; linux; amd64)<|>[aws-sdk-rust/1.3.<int 0 9> os/linux lang/rust/1.79.0]<)>",
        ),
        (
            "cli",
            10,
            "aws-cli/2.1<int 0 9>.<int 0 50> md/awscrt#0.2<int 0 3>.<int 0 9> ua/2.0 os/<pick linux#6.8.0|macos#23.5.0|windows#11> md/arch#<pick x86_64|arm64> lang/python#3.11.<int 2 9> md/pyimpl#CPython cfg/retry-mode#standard md/installer#<pick exe|source> md/prompt#off md/command#<pick s3.ls|ec2.describe-instances|sts.get-caller-identity|iam.list-users|logs.tail>",
        ),
        (
            "terraform",
            8,
            "APN/1.0 HashiCorp/1.0 Terraform/1.<int 5 9>.<int 0 9> (+https://www.terraform.io) terraform-provider-aws/5.<int 20 60>.0<?50> (+https://registry.terraform.io/providers/hashicorp/aws)<)> aws-sdk-go-v2/1.2<int 4 9>.0 os/linux lang/go#1.2<int 1 3>.<int 0 9> md/GOOS#linux md/GOARCH#amd64 api/<pick ec2|iam|s3|rds>#1.<int 20 150>.<int 0 3>",
        ),
        (
            "browser",
            12,
            "<(>Mozilla/5.0 (<pick Windows NT 10.0; Win64; x64|Macintosh; Intel Mac OS X 10_15_7|X11; Linux x86_64>) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12<int 0 9>.0.0.0 Safari/537.36<|>Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:12<int 0 9>.0) Gecko/20100101 Firefox/12<int 0 9>.0<|>Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.<int 0 5> Safari/605.1.15<|>console.amazonaws.com<)>",
        ),
    ],
    fragments: &[
        (
            "tls",
            r#""tlsVersion":"<pick TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256|TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256|TLSv1.2","cipherSuite":"ECDHE-RSA-AES128-GCM-SHA256>""#,
        ),
        (
            "session",
            r#""sessionContext":{"sessionIssuer":{"type":"Role","principalId":"<role.1>","arn":"arn:aws:iam::<@account>:role/<role>","accountId":"<@account>","userName":"<role>"},<?50>"webIdFederationData":{},<)>"attributes":{"creationDate":"<iso 0 -1800>Z","mfaAuthenticated":"false"}"#,
        ),
        (
            "s3more",
            r#"{"SignatureVersion":"SigV4","CipherSuite":"<pick TLS_AES_128_GCM_SHA256|ECDHE-RSA-AES128-GCM-SHA256>","bytesTransferredIn":<?70>0<:><log 100 40000000><)>,<?30>"SSEApplied":"<pick Default_SSE_S3|SSE_KMS>",<)>"AuthenticationMethod":"<pick AuthHeader|AuthHeader|QueryString>","x-amz-id-2":"<base64 75>=","bytesTransferredOut":<log 1 90000000>}"#,
        ),
        (
            "s3object",
            r#"[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::<bucket>/<object>"},{"accountId":"<@account>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::<bucket>"}]"#,
        ),
        (
            "s3bucket",
            r#"[{"accountId":"<@account>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::<bucket>"}]"#,
        ),
        ("host", r#""Host":"<bucket>.s3.<@region>.amazonaws.com""#),
        (
            "kmsKey",
            r#"[{"accountId":"<@account>","type":"AWS::KMS::Key","ARN":"arn:aws:kms:<@region>:<@account>:key/<key>"}]"#,
        ),
        (
            "filters",
            r#""filterSet":{<?50>"items":[<*1 3>{"name":"<pick vpc-id|instance-state-name|tag:Name|tag:env|group-name>","valueSet":{"items":[<*1 3>{"value":"<(><vpc><|>running<|><subnet><|>prod<)>"}<)>]}}<)>]<)>}"#,
        ),
        (
            "tags",
            r#""tagSet":{"items":[<*1 4>{"key":"<pick Name|env|team|cost-center|managed-by>","value":"<pick prod|stage|platform|terraform|orders|cc-1042>"}<)>]}"#,
        ),
        (
            "credentials",
            r#"{"accessKeyId":"ASIA<base32 16>","sessionToken":"IQoJb3JpZ2luX2VjE<base64 340>==","expiration":"<us 3600>"}"#,
        ),
        ("roleArn", "arn:aws:iam::<@account>:role/<role>"),
    ],
};
