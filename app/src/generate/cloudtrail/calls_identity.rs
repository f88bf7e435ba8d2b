//! Calls about who may do what, and to watch over it: STS, sign-in, IAM, organisation, trails, operations.

use super::call::{Call, read, write};

const WEB_USER: &str = r#"{"type":"WebIdentityUser","principalId":"<(>arn:aws:iam::<@account>:oidc-provider/oidc.eks.<@region>.amazonaws.com/id/<oidc>:sts.amazonaws.com:system:serviceaccount:<pick default|orders|ingest>:<pick orders|billing|ingest><|>arn:aws:iam::<@account>:oidc-provider/token.actions.githubusercontent.com:sts.amazonaws.com:repo:northwind/<pick infra|orders|web>:ref:refs/heads/main<)>","userName":"<pick system:serviceaccount:orders:orders|repo:northwind/infra:ref:refs/heads/main>","identityProvider":"arn:aws:iam::<@account>:oidc-provider/oidc.eks.<@region>.amazonaws.com/id/<oidc>"}"#;
const ASSUMED: &str = r#"{"credentials":<&credentials>,"assumedRoleUser":{"assumedRoleId":"<role.1>:<base62 12 #1>","arn":"arn:aws:sts::<@account>:assumed-role/<role>/<base62 12 #1>"}}"#;
const ROLE: &str = r#"[{"accountId":"<@account>","type":"AWS::IAM::Role","ARN":"<&roleArn>"}]"#;
const CONSOLE_MORE: &str = r#"{"LoginTo":"https://console.aws.amazon.com/<pick console/home|s3/home|ec2/v2/home>?<?50>region=<@region>&<)>state=hashArgs%23&isauthcode=true","MobileVersion":"<pick No|No|Yes>","MFAUsed":"<pick Yes|Yes|No>"<?40>,"MFAIdentifier":"arn:aws:iam::<@account>:mfa/<user>"<)>}"#;

/// See the module.
pub(super) const IDENTITY: &[Call] = &[
    read("V", 60, "sts", "AssumeRole", r#"{"roleArn":"<&roleArn>","roleSessionName":"<(><instance><|><function><|><hex 32><)>"<?40>,"durationSeconds":<pick 900|3600|43200><)>}"#).response(ASSUMED).on(ROLE),
    read("MTWX", 5, "sts", "AssumeRole", r#"{"roleArn":"<&roleArn>","roleSessionName":"<base62 12 #1>"<?40>,"externalId":"<uuid>"<)><?20>,"tags":[{"key":"<pick team|repo>","value":"<pick platform|infra>"}]<)>,"durationSeconds":3600}"#).response(ASSUMED).on(ROLE),
    read("KT", 7, "sts", "AssumeRoleWithWebIdentity", r#"{"roleArn":"<&roleArn>","roleSessionName":"<base62 12 #1>"<?40>,"durationSeconds":3600<)>}"#)
        .response(r#"{"credentials":<&credentials>,"subjectFromWebIdentityToken":"system:serviceaccount:orders:orders","assumedRoleUser":{"assumedRoleId":"<role.1>:<base62 12 #1>","arn":"arn:aws:sts::<@account>:assumed-role/<role>/<base62 12 #1>"},"provider":"arn:aws:iam::<@account>:oidc-provider/oidc.eks.<@region>.amazonaws.com/id/<oidc>","audience":"sts.amazonaws.com"}"#).identity(WEB_USER).on(ROLE)
        .error(r#""errorCode":"<pick AccessDenied|ExpiredTokenException|InvalidIdentityToken>","errorMessage":"<pick Not authorized to perform sts:AssumeRoleWithWebIdentity|Token expired>","#),
    read("H", 3, "sts", "AssumeRoleWithSAML", r#"{"sAMLAssertionID":"_<uuid>","roleSessionName":"<person.1>","durationSeconds":3600,"roleArn":"<&roleArn>","principalArn":"arn:aws:iam::<@account>:saml-provider/AWSSSO_<hex 16>_DO_NOT_DELETE"}"#)
        .response(r#"{"subjectType":"persistent","issuer":"https://portal.sso.<@region>.amazonaws.com/saml/assertion/<base64 40>","credentials":<&credentials>,"nameQualifier":"<base64 27>=","assumedRoleUser":{"assumedRoleId":"<role.1>:<person.1>","arn":"arn:aws:sts::<@account>:assumed-role/<role>/<person.1>"},"subject":"<base64 27>=","audience":"https://signin.aws.amazon.com/saml"}"#)
        .identity(r#"{"type":"SAMLUser","principalId":"<base64 27>=:<person.1>","userName":"<person.1>","identityProvider":"<base64 27>="}"#).on(ROLE),
    read("WKLUTMXF", 7, "sts", "GetCallerIdentity", "null").never_fails(),
    read("U", 2, "sts", "GetSessionToken", r#"{"durationSeconds":<pick 3600|43200>,"serialNumber":"arn:aws:iam::<@account>:mfa/<user>"}"#).response(r#"{"credentials":<&credentials>}"#),
    read("U", 1, "sts", "GetFederationToken", r#"{"name":"<person>","durationSeconds":7200}"#).response(r#"{"credentials":<&credentials>,"federatedUser":{"federatedUserId":"<@account>:<person>","arn":"arn:aws:sts::<@account>:federated-user/<person>"},"packedPolicySize":<int 1 40>}"#),
    write("C", 8, "signin", "ConsoleLogin", "null", r#"{"ConsoleLogin":"Success"}"#).more(CONSOLE_MORE).event_type("AwsConsoleSignIn").never_fails()
        .identity(r#"{"type":"IAMUser","principalId":"<user.1>","arn":"arn:aws:iam::<@account>:user/<user>","accountId":"<@account>","userName":"<user>"}"#),
    write("C", 2, "signin", "ConsoleLogin", "null", r#"{"ConsoleLogin":"Failure"}"#).more(CONSOLE_MORE).event_type("AwsConsoleSignIn").never_fails()
        .identity(r#"{"type":"IAMUser","principalId":"","accountId":"<@account>","accessKeyId":"","userName":"<(><user><|>HIDDEN_DUE_TO_SECURITY_REASONS<)>"}"#),
    write("H", 4, "signin", "ConsoleLogin", "null", r#"{"ConsoleLogin":"Success"}"#).more(r#"{"MobileVersion":"No","MFAUsed":"No"}"#).event_type("AwsConsoleSignIn").never_fails(),
    write("R", 4, "signin", "ConsoleLogin", "null", r#"{"ConsoleLogin":"Success"}"#).more(CONSOLE_MORE).event_type("AwsConsoleSignIn").never_fails()
        .identity(r#"{"type":"Root","principalId":"<@account>","arn":"arn:aws:iam::<@account>:root","accountId":"<@account>","accessKeyId":""}"#),
    write("I", 8, "sso", "Federate", "null", "null").event_type("AwsServiceEvent").never_fails(),
    read("I", 10, "sso", "ListAccountRoles", r#"{"accountId":"<@account>","maxResult":<pick 50|100>}"#),
    write("I", 5, "sso", "Authenticate", "null", "null").event_type("AwsServiceEvent").never_fails(),
    read("TMHU", 10, "iam", "GetRole", r#"{"roleName":"<role>"}"#).error(r#""errorCode":"NoSuchEntityException","errorMessage":"The role with name <role> cannot be found.","#),
    read("TMH", 9, "iam", "ListAttachedRolePolicies", r#"{"roleName":"<role>"<?30>,"maxItems":<pick 100|1000><)>}"#),
    read("TM", 8, "iam", "ListRolePolicies", r#"{"roleName":"<role>"}"#),
    read("TM", 7, "iam", "GetPolicyVersion", r#"{"policyArn":"arn:aws:iam::<@account>:policy/<role>-policy","versionId":"v<int 1 5>"}"#),
    read("HMU", 5, "iam", "ListUsers", r#"{<?50>"maxItems":<pick 100|1000><)>}"#),
    read("HMC", 6, "iam", "GetUser", r#"{"userName":"<user>"}"#),
    read("HM", 5, "iam", "ListAccessKeys", r#"{"userName":"<user>"}"#),
    read("M", 4, "iam", "GetAccountAuthorizationDetails", r#"{"filter":["User","Role"],"maxItems":100<?50>,"marker":"<base64 200>"<)>}"#),
    read("MR", 4, "iam", "GetAccountSummary", "null"),
    read("M", 4, "iam", "GenerateCredentialReport", "null").response(r#"{"state":"<pick STARTED|COMPLETE>","description":"No report exists. Starting a new report generation task"}"#),
    write("TH", 1, "iam", "CreateUser", r#"{"userName":"<user>"<?50>,"path":"/<pick service|>"<)><?40>,"tags":[{"key":"owner","value":"<person.1>"}]<)>}"#, r#"{"user":{"path":"/","arn":"arn:aws:iam::<@account>:user/<user>","userId":"<user.1>","createDate":"<us>","userName":"<user>"}}"#),
    write("TH", 1, "iam", "DeleteUser", r#"{"userName":"<user>"}"#, "null"),
    write("HC", 1, "iam", "CreateAccessKey", r#"{"userName":"<user>"}"#, r#"{"accessKey":{"accessKeyId":"AKIA<base32 16>","status":"Active","userName":"<user>","createDate":"<us>"}}"#),
    write("HC", 1, "iam", "DeleteAccessKey", r#"{"userName":"<user>","accessKeyId":"<user.2>"}"#, "null"),
    write("C", 1, "iam", "ChangePassword", "null", "null").error(r#""errorCode":"PasswordPolicyViolationException","errorMessage":"Password does not conform to the account password policy.","#),
    write("HT", 1, "iam", "AttachUserPolicy", r#"{"userName":"<user>","policyArn":"arn:aws:iam::aws:policy/<pick ReadOnlyAccess|AmazonS3ReadOnlyAccess|SecurityAudit>"}"#, "null"),
    write("HT", 1, "iam", "AddUserToGroup", r#"{"groupName":"<pick developers|auditors|ops>","userName":"<user>"}"#, "null"),
    write("C", 1, "iam", "EnableMFADevice", r#"{"userName":"<user>","serialNumber":"arn:aws:iam::<@account>:mfa/<user>"}"#, "null"),
    write("T", 3, "iam", "CreateRole", r#"{"path":"/","roleName":"<role>","assumeRolePolicyDocument":"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Effect\": \"Allow\",\n      \"Principal\": {\n        \"Service\": \"<pick ec2|lambda|ecs-tasks>.amazonaws.com\"\n      },\n      \"Action\": \"sts:AssumeRole\"\n    }\n  ]\n}","maxSessionDuration":3600<?60>,"tags":[<*1 3>{"key":"<pick team|env|repo>","value":"<pick platform|prod|infra>"}<)>]<)>}"#,
        r#"{"role":{"assumeRolePolicyDocument":"%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22<pick ec2|lambda>.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D","arn":"<&roleArn>","roleId":"<role.1>","createDate":"<us>","roleName":"<role>","path":"/"}}"#),
    write("T", 3, "iam", "PutRolePolicy", r#"{"roleName":"<role>","policyName":"<pick inline|s3-access|kms-use>","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[<*1 4>{\"Effect\":\"Allow\",\"Action\":[\"<pick s3:GetObject|kms:Decrypt|sqs:SendMessage|dynamodb:*>\"],\"Resource\":\"arn:aws:s3:::<bucket!>/*\"}<)>]}"}"#, "null"),
    write("T", 3, "iam", "AttachRolePolicy", r#"{"roleName":"<role>","policyArn":"<(>arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole<|>arn:aws:iam::<@account>:policy/<role>-policy<)>"}"#, "null"),
    write("TH", 1, "iam", "UpdateAssumeRolePolicy", r#"{"roleName":"<role>","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::<otherAccount>:root\"},\"Action\":\"sts:AssumeRole\"}]}"}"#, "null"),
    read("MR", 5, "organizations", "ListAccounts", r#"{<?50>"maxResults":20<)>}"#),
    read("MTH", 5, "organizations", "DescribeOrganization", "null"),
    read("MTH", 6, "cloudtrail", "DescribeTrails", r#"{"includeShadowTrails":<pick true|false>,"trailNameList":[<?40>"management-events"<)>]}"#),
    read("MH", 5, "cloudtrail", "GetTrailStatus", r#"{"name":"arn:aws:cloudtrail:<@region>:<@account>:trail/management-events"}"#),
    read("H", 6, "cloudtrail", "LookupEvents", r#"{"startTime":"<us -10800>","endTime":"<us>","maxResults":50<?50>,"lookupAttributes":[{"attributeKey":"<pick EventName|Username|ResourceName>","attributeValue":"<(>ConsoleLogin<|><person.1><|><bucket><)>"}]<)>}"#),
    read("MV", 6, "config", "DescribeConfigurationRecorderStatus", "<pick null|{}>"),
    write("LV", 4, "config", "PutEvaluations", r#"{"evaluations":[<*1 4>{"complianceResourceType":"AWS::<pick S3::Bucket|EC2::Instance|IAM::Role>","complianceResourceId":"<(><bucket!><|><instance!><)>","complianceType":"<pick COMPLIANT|NON_COMPLIANT>","orderingTimestamp":"<us>"}<)>],"resultToken":"HIDDEN_DUE_TO_SECURITY_REASONS","testMode":false}"#, r#"{"failedEvaluations":[]}"#),
    read("M", 5, "guardduty", "ListFindings", r#"{"detectorId":"<hex 32>","maxResults":50,"findingCriteria":{"criterion":{"updatedAt":{"gte":<epochms -86400>}<?50>,"severity":{"gte":4}<)>}}}"#),
    read("MTH", 6, "route53", "ListResourceRecordSets", r#"{"hostedZoneId":"<hostedZone>"<?40>,"maxItems":"300"<)>}"#).api("2013-04-01"),
    write("KT", 3, "route53", "ChangeResourceRecordSets", r#"{"hostedZoneId":"<hostedZone>","changeBatch":{"changes":[<*1 3>{"action":"<pick UPSERT|CREATE|DELETE>","resourceRecordSet":{"name":"<pick api|web|grafana>.<pick prod|dev>.example.com","type":"<pick A|CNAME|TXT>","tTL":<pick 60|300>,"resourceRecords":[<*1 2>{"value":"<ip10>"}<)>]}}<)>]}}"#, r#"{"changeInfo":{"status":"PENDING","submittedAt":"<us>","id":"/change/C<base36 20>"}}"#).api("2013-04-01"),
    read("MTH", 4, "cloudfront", "ListDistributions", r#"{<?40>"maxItems":"100"<)>}"#).api("2020_05_31"),
    read("R", 8, "ce", "GetCostAndUsage", r#"{"timePeriod":{"start":"2026-03-01","end":"2026-04-01"},"granularity":"<pick DAILY|MONTHLY>","metrics":["UnblendedCost"]<?60>,"groupBy":[{"type":"DIMENSION","key":"<pick SERVICE|LINKED_ACCOUNT>"}]<)>}"#),
    read("RH", 4, "ec2", "DescribeRegions", r#"{"regionSet":{}<?30>,"allRegions":true<)>}"#),
    read("HR", 6, "health", "DescribeEventAggregates", r#"{"filter":{"eventStatusCodes":["open","upcoming"],"startTimes":[{"from":"<us -604800>"}]},"aggregateField":"eventTypeCategory"}"#),
    write("WV", 20, "ssm", "UpdateInstanceInformation", r#"{"instanceId":"<instance>","agentVersion":"3.3.<int 100 900>.0","agentStatus":"Active","platformType":"Linux","platformName":"<pick Amazon Linux|Ubuntu>","platformVersion":"<pick 2023|22.04>","iPAddress":"<privateIp>","computerName":"ip-10-0-<int 0 255>-<int 1 254>.ec2.internal","agentName":"amazon-ssm-agent"}"#, "null"),
    write("H", 2, "ssm", "StartSession", r#"{"target":"<instance>"<?30>,"documentName":"AWS-StartPortForwardingSession"<)>}"#, r#"{"sessionId":"<person>-0<hex 16>","tokenValue":"Value hidden due to security reasons.","streamUrl":"wss://ssmmessages.<@region>.amazonaws.com/v1/data-channel/<person>-0<hex 16>?role=publish_subscribe"}"#),
    write("HT", 2, "ssm", "SendCommand", r#"{"documentName":"AWS-RunShellScript","interactive":false,"parameters":"HIDDEN_DUE_TO_SECURITY_REASONS",<(>"instanceIds":[<*1 5>"<instance!>"<)>]<|>"targets":[{"key":"tag:env","values":["<pick prod|dev>"]}]<)>}"#, r#"{"command":{"commandId":"<uuid>","documentName":"AWS-RunShellScript","documentVersion":"$DEFAULT","comment":"","expiresAfter":"<us 7200>","parameters":"HIDDEN_DUE_TO_SECURITY_REASONS","instanceIds":[],"targets":[],"requestedDateTime":"<us>","status":"Pending","statusDetails":"Pending","outputS3Region":"<@region>","maxConcurrency":"50","maxErrors":"0","targetCount":<int 0 9>,"completedCount":0,"errorCount":0,"deliveryTimedOutCount":0,"serviceRole":"","timeoutSeconds":3600}}"#),
];
