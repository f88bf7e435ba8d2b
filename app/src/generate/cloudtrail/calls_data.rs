//! Calls to stores and keys: S3, `DynamoDB`, KMS, Secrets Manager, Parameter Store, SQS, SNS, logs, metrics.

use super::call::{Call, read, write};

/// See the module.
pub(super) const DATA: &[Call] = &[
    read("WKLX", 40, "s3", "GetObject", r#"{<?30>"x-amz-checksum-mode":"ENABLED",<)>"bucketName":"<bucket>",<&host>,"key":"<object>"<?10>,"versionId":"<base62 32>"<)>}"#)
        .data().more("<&s3more>").on("<&s3object>"),
    write("WKLX", 20, "s3", "PutObject", r#"{"bucketName":"<bucket>",<&host>,"key":"<object>"<?30>,"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:<@region>:<@account>:key/<key>"<)><?15>,"x-amz-acl":"bucket-owner-full-control"<)><?20>,"x-amz-storage-class":"<pick STANDARD_IA|INTELLIGENT_TIERING>"<)>}"#, r#"<?50>{"x-amz-server-side-encryption":"AES256"<?40>,"x-amz-version-id":"<base62 32>"<)>}<:>null<)>"#)
        .data().more("<&s3more>").on("<&s3object>"),
    read("WK", 18, "s3", "HeadObject", r#"{"bucketName":"<bucket>",<&host>,"key":"<object>"}"#).data().more("<&s3more>").on("<&s3object>"),
    read("WKMUF", 14, "s3", "ListObjects", r#"{"list-type":"2","bucketName":"<bucket>","encoding-type":"url","prefix":"<pick raw|curated|exports|img>/",<?50>"delimiter":"/",<)><?60>"max-keys":"<pick 1|100|1000>",<)><&host>}"#)
        .data().more("<&s3more>").on(r#"[{"type":"AWS::S3::Object","ARNPrefix":"arn:aws:s3:::<bucket>/"},{"accountId":"<@account>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::<bucket>"}]"#),
    write("WL", 6, "s3", "DeleteObject", r#"{"bucketName":"<bucket>",<&host>,"key":"<object>"}"#, "null").data().more("<&s3more>").on("<&s3object>"),
    write("W", 3, "s3", "DeleteObjects", r#"{"bucketName":"<bucket>",<&host>,"delete":""}"#, "null").data().more("<&s3more>").on("<&s3bucket>"),
    write("WK", 3, "s3", "CompleteMultipartUpload", r#"{"bucketName":"<bucket>",<&host>,"uploadId":"<base62 86>","key":"<object>"}"#, r#"{"x-amz-server-side-encryption":"AES256"}"#).data().more("<&s3more>").on("<&s3object>"),
    read("HUMTCF", 10, "s3", "ListBuckets", r#"{"Host":"s3.<@region>.amazonaws.com"}"#).more("<&s3more>"),
    read("THMC", 12, "s3", "GetBucketAcl", r#"{"acl":"","bucketName":"<bucket>",<&host>}"#).more("<&s3more>").on("<&s3bucket>"),
    read("THMC", 9, "s3", "GetBucketLocation", r#"{"bucketName":"<bucket>","location":"",<&host>}"#).more("<&s3more>").on("<&s3bucket>"),
    read("THMC", 9, "s3", "GetBucketEncryption", r#"{"bucketName":"<bucket>","encryption":"",<&host>}"#).more("<&s3more>").on("<&s3bucket>"),
    read("TM", 8, "s3", "GetBucketPolicy", r#"{"bucketName":"<bucket>",<&host>,"policy":""}"#).more("<&s3more>").on("<&s3bucket>")
        .error(r#""errorCode":"NoSuchBucketPolicy","errorMessage":"The bucket policy does not exist","#),
    read("TM", 8, "s3", "GetBucketVersioning", r#"{"bucketName":"<bucket>",<&host>,"versioning":""}"#).more("<&s3more>").on("<&s3bucket>"),
    read("TM", 8, "s3", "GetBucketPublicAccessBlock", r#"{"publicAccessBlock":"","bucketName":"<bucket>",<&host>}"#).more("<&s3more>").on("<&s3bucket>"),
    write("THC", 2, "s3", "CreateBucket", r#"{"CreateBucketConfiguration":{"LocationConstraint":"<@region>","xmlns":"http://s3.amazonaws.com/doc/2006-03-01/"},"bucketName":"<bucket>",<&host><?30>,"x-amz-object-ownership":"BucketOwnerEnforced"<)>}"#, "null").more("<&s3more>").on("<&s3bucket>"),
    write("THC", 3, "s3", "PutBucketPolicy", r#"{"bucketPolicy":{"Version":"2012-10-17","Statement":[<*1 3>{<?50>"Sid":"<pick DenyInsecure|AllowDelivery|CrossAccountRead>",<)>"Effect":"<pick Allow|Deny>","Principal":<(>"*"<|>{"AWS":"arn:aws:iam::<otherAccount>:root"}<|>{"Service":["cloudtrail.amazonaws.com","delivery.logs.amazonaws.com"]}<)>,"Action":<(>"s3:*"<|>["s3:GetObject","s3:ListBucket"<?40>,"s3:PutObject"<)>]<)>,"Resource":["arn:aws:s3:::<bucket>","arn:aws:s3:::<bucket>/*"]<?40>,"Condition":{"Bool":{"aws:SecureTransport":"false"}}<)>}<)>]},"bucketName":"<bucket>",<&host>,"policy":""}"#, "null").more("<&s3more>").on("<&s3bucket>"),
    write("T", 2, "s3", "PutBucketLifecycle", r#"{"bucketName":"<bucket>",<&host>,"lifecycle":"","LifecycleConfiguration":{"Rule":[<*1 3>{"ID":"<pick expire|archive|abort>-<hex 4>","Status":"Enabled","Filter":{"Prefix":"<pick tmp/|raw/|>"},<(>"Expiration":{"Days":<int 1 365>}<|>"Transition":{"StorageClass":"GLACIER","Days":<int 30 180>}<)>}<)>],"xmlns":"http://s3.amazonaws.com/doc/2006-03-01/"}}"#, "null").more("<&s3more>").on("<&s3bucket>"),
    read("WKL", 14, "dynamodb", "GetItem", r#"{"tableName":"<table>","key":{"<pick pk|id|sessionId>":"<base62 12>"<?40>,"sk":"<pick v0|meta|item>"<)>}<?40>,"consistentRead":<pick true|false><)>}"#)
        .data().on(r#"[{"accountId":"<@account>","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:<@region>:<@account>:table/<table>"}]"#).api("2012-08-10"),
    write("WKL", 8, "dynamodb", "UpdateItem", r#"{"tableName":"<table>","key":{"<pick pk|id>":"<base62 12>"},"returnValues":"<pick NONE|ALL_NEW>","returnItemCollectionMetrics":"NONE"}"#, "null")
        .data().on(r#"[{"accountId":"<@account>","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:<@region>:<@account>:table/<table>"}]"#).api("2012-08-10"),
    read("TMHC", 6, "dynamodb", "DescribeTable", r#"{"tableName":"<table>"}"#).on(r#"[{"accountId":"<@account>","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:<@region>:<@account>:table/<table>"}]"#).api("2012-08-10"),
    read("WKLUXF", 55, "kms", "Decrypt", r#"{<?70>"encryptionContext":{<(>"aws:s3:arn":"arn:aws:s3:::<bucket>/<object>"<|>"PARAMETER_ARN":"arn:aws:ssm:<@region>:<@account>:parameter<parameter>"<|>"SecretARN":"arn:aws:secretsmanager:<@region>:<@account>:secret:<secret>-<secret.1>","SecretVersionId":"<uuid>"<|>"aws:lambda:FunctionArn":"arn:aws:lambda:<@region>:<@account>:function:<function>"<)>},<)>"encryptionAlgorithm":"SYMMETRIC_DEFAULT"<?30>,"keyId":"arn:aws:kms:<@region>:<@account>:key/<key>"<)>}"#).on("<&kmsKey>"),
    read("WKL", 25, "kms", "GenerateDataKey", r#"{"keyId":"<(>arn:aws:kms:<@region>:<@account>:key/<key><|><alias><)>","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::<bucket>/<object>"},"keySpec":"AES_256"}"#).on("<&kmsKey>"),
    read("V", 20, "kms", "GenerateDataKeyWithoutPlaintext", r#"{"encryptionContext":{"aws:ebs:id":"<volume>"},"keyId":"arn:aws:kms:<@region>:<@account>:key/<key>","numberOfBytes":64}"#).on("<&kmsKey>"),
    write("V", 4, "kms", "CreateGrant", r#"{"keyId":"arn:aws:kms:<@region>:<@account>:key/<key>","constraints":{"encryptionContextSubset":{"aws:ebs:id":"<volume>"}},"operations":["Decrypt"<?50>,"CreateGrant","DescribeKey"<)>],"granteePrincipal":"arn:aws:sts::<@account>:assumed-role/aws:ec2-infrastructure/<instance>","retiringPrincipal":"ec2.<@region>.amazonaws.com"}"#, r#"{"keyId":"arn:aws:kms:<@region>:<@account>:key/<key>","grantId":"<hex 64>"}"#).on("<&kmsKey>"),
    read("TMHC", 9, "kms", "DescribeKey", r#"{"keyId":"<(><key><|><alias><)>"}"#).on("<&kmsKey>"),
    write("V", 1, "kms", "RotateKey", "null", "null").event_type("AwsServiceEvent").on("<&kmsKey>"),
    write("THC", 1, "kms", "ScheduleKeyDeletion", r#"{"keyId":"<key>","pendingWindowInDays":<int 7 30>}"#, r#"{"keyId":"arn:aws:kms:<@region>:<@account>:key/<key>","keyState":"PendingDeletion","deletionDate":"<us 604800>","pendingWindowInDays":7}"#).on("<&kmsKey>"),
    read("WKLHUCF", 14, "secretsmanager", "GetSecretValue", r#"{"secretId":"<(>arn:aws:secretsmanager:<@region>:<@account>:secret:<secret>-<secret.1><|><secret><)>"<?20>,"versionStage":"AWSCURRENT"<)>}"#),
    read("TMHC", 6, "secretsmanager", "DescribeSecret", r#"{"secretId":"arn:aws:secretsmanager:<@region>:<@account>:secret:<secret>-<secret.1>"}"#),
    write("L", 2, "secretsmanager", "PutSecretValue", r#"{"versionStages":["AWSPENDING"],"secretId":"<secret>","clientRequestToken":"<uuid #1>"}"#, r#"{"arn":"arn:aws:secretsmanager:<@region>:<@account>:secret:<secret>-<secret.1>","name":"<secret>","versionId":"<uuid #1>"}"#),
    read("WKLUF", 14, "ssm", "GetParameter", r#"{"name":"<parameter>"<?70>,"withDecryption":true<)>}"#).on(r#"[{"accountId":"<@account>","ARN":"arn:aws:ssm:<@region>:<@account>:parameter<parameter>"}]"#),
    read("WKT", 8, "ssm", "GetParametersByPath", r#"{"path":"/<pick prod|stage|dev>/<pick orders|billing>/","recursive":<pick true|false>,"withDecryption":true<?30>,"maxResults":10<)>}"#),
    write("T", 3, "ssm", "PutParameter", r#"{"name":"<parameter>","type":"<pick String|SecureString>","value":"HIDDEN_DUE_TO_SECURITY_REASONS","overwrite":<pick true|false>,"tier":"Standard"}"#, r#"{"version":<int 1 60>,"tier":"Standard"}"#),
    read("WKL", 8, "sqs", "ReceiveMessage", r#"{"queueUrl":"https://sqs.<@region>.amazonaws.com/<@account>/<queue>","maxNumberOfMessages":10,"waitTimeSeconds":20}"#).data().on(r#"[{"accountId":"<@account>","type":"AWS::SQS::Queue","ARN":"arn:aws:sqs:<@region>:<@account>:<queue>"}]"#),
    read("MTHC", 5, "sqs", "GetQueueAttributes", r#"{"queueUrl":"https://sqs.<@region>.amazonaws.com/<@account>/<queue>","attributeNames":["All"]}"#),
    write("T", 2, "sns", "Subscribe", r#"{"topicArn":"arn:aws:sns:<@region>:<@account>:<queue>","protocol":"<pick sqs|lambda|https>","endpoint":"arn:aws:sqs:<@region>:<@account>:<queue>","returnSubscriptionArn":false}"#, r#"{"subscriptionArn":"arn:aws:sns:<@region>:<@account>:<queue>:<uuid>"}"#),
    read("MHC", 10, "logs", "DescribeLogGroups", r#"{"logGroupNamePrefix":"<logGroup>"<?50>,"limit":50<)>}"#).api("20140328"),
    read("WMHC", 12, "logs", "DescribeLogStreams", r#"{"logGroupName":"<logGroup>","orderBy":"LastEventTime","descending":true<?40>,"limit":<int 1 50><)>}"#).api("20140328"),
    write("WLK", 12, "logs", "CreateLogStream", r#"{"logGroupName":"<logGroup>","logStreamName":"<(>2026/03/<int 10 28>/[$LATEST]<hex 32><|><pod>/<hex 32><)>"}"#, "null").api("20140328")
        .error(r#""errorCode":"ResourceAlreadyExistsException","errorMessage":"The specified log stream already exists","#),
    read("HC", 3, "logs", "StartQuery", r#"{"logGroupNames":[<*1 3>"<logGroup!>"<)>],"startTime":<epoch -3600>,"endTime":<epoch>,"queryString":"fields @timestamp, @message | sort @timestamp desc | limit 100"}"#).response(r#"{"queryId":"<uuid>"}"#).api("20140328"),
    read("MHC", 16, "monitoring", "GetMetricData", r#"{"startTime":"<us -300>","endTime":"<us>","metricDataQueries":[<*1 4>{"id":"m<int 1 400>","metricStat":{"metric":{"namespace":"AWS/<pick EC2|RDS|Lambda|SQS|ELB>","metricName":"<pick CPUUtilization|Errors|Duration|RequestCount>","dimensions":[{"name":"<pick InstanceId|FunctionName>","value":"<(><instance!><|><function!><)>"}]},"period":60,"stat":"<pick Average|Sum|p99>"}}<)>]}"#).data(),
    read("MHTC", 8, "monitoring", "DescribeAlarms", r#"{<?60>"maxRecords":100<)>}"#),
];
