//! One kind of API call: what its event says besides who called, when and from where.

/// A row of the tables of calls. All texts are templates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// First label of `eventSource`.
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    /// Letters of the [actors](super::actors) that make this call.
    pub(super) by: &'static str,
    /// How often they make it, relative to their other calls.
    pub(super) weight: u32,
    pub(super) read: bool,
    pub(super) data: bool,
    /// `requestParameters`.
    pub(super) request: &'static str,
    /// `responseElements` of a call that succeeds.
    pub(super) response: &'static str,
    /// `additionalEventData`, if any.
    pub(super) more: &'static str,
    /// `resources`, if any.
    pub(super) resources: &'static str,
    /// `userIdentity`, where it is not the actor's.
    pub(super) identity: &'static str,
    pub(super) event_type: &'static str,
    pub(super) api_version: &'static str,
    /// `"errorCode":…,"errorMessage":…,`: how it fails, where not as its service usually does.
    pub(super) error: &'static str,
    /// Fails always or never.
    pub(super) fails: Option<bool>,
}

const fn call(by: &'static str, weight: u32, service: &'static str, name: &'static str) -> Call {
    Call {
        service,
        name,
        by,
        weight,
        read: true,
        data: false,
        request: "null",
        response: "null",
        more: "",
        resources: "",
        identity: "",
        event_type: "AwsApiCall",
        api_version: "",
        error: "",
        fails: None,
    }
}

/// A call that only reads; `CloudTrail` leaves its response out.
pub(crate) const fn read(
    by: &'static str,
    weight: u32,
    service: &'static str,
    name: &'static str,
    request: &'static str,
) -> Call {
    Call { request, ..call(by, weight, service, name) }
}

/// A call that changes something.
pub(crate) const fn write(
    by: &'static str,
    weight: u32,
    service: &'static str,
    name: &'static str,
    request: &'static str,
    response: &'static str,
) -> Call {
    Call { read: false, request, response, ..call(by, weight, service, name) }
}

impl Call {
    /// A data event, not a management event.
    pub(crate) const fn data(self) -> Self {
        Self { data: true, ..self }
    }

    pub(crate) const fn response(self, response: &'static str) -> Self {
        Self { response, ..self }
    }

    pub(crate) const fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    pub(crate) const fn on(self, resources: &'static str) -> Self {
        Self { resources, ..self }
    }

    pub(super) const fn identity(self, identity: &'static str) -> Self {
        Self { identity, ..self }
    }

    pub(super) const fn event_type(self, event_type: &'static str) -> Self {
        Self { event_type, ..self }
    }

    pub(super) const fn api(self, api_version: &'static str) -> Self {
        Self { api_version, ..self }
    }

    pub(super) const fn error(self, error: &'static str) -> Self {
        Self { error, ..self }
    }

    pub(crate) const fn always_fails(self, error: &'static str) -> Self {
        Self { error, fails: Some(true), ..self }
    }

    pub(crate) const fn never_fails(self) -> Self {
        Self { fails: Some(false), ..self }
    }

    /// Services with one endpoint for the world log in us-east-1 only.
    pub(super) fn global(&self) -> bool {
        matches!(self.service, "iam" | "route53" | "cloudfront" | "organizations" | "signin" | "health")
    }

    /// The whole event as a template.
    pub(super) fn template(&self) -> String {
        let Self { service, name, request, response, event_type, read, data, .. } = self;
        let action = format!("{service}:{}", name.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'v'));
        let identity = if self.identity.is_empty() { "<@identity>" } else { self.identity };
        let error = if self.error.is_empty() { default_error(service) } else { self.error };
        let error = error.replace("{action}", &action);
        let (more, resources, api) = (self.more, self.resources, self.api_version);
        let optional = |key: &str, value: &str| match value {
            "" => String::new(),
            value => format!(r#""{key}":{value},"#),
        };
        let (more, resources) = (optional("additionalEventData", more), optional("resources", resources));
        let api = if api.is_empty() { String::new() } else { format!(r#""apiVersion":"{api}","#) };
        // The log of the role's account names the service's own event.
        let shared = if (*service, self.by) == ("sts", "V") { r#""sharedEventID":"<uuid>","# } else { "" };
        let request_id = match *service {
            "s3" => r#""requestID":"<base36 16 #7>","#,
            "dynamodb" => r#""requestID":"<base36 52 #7>","#,
            "signin" => "",
            _ => r#""requestID":"<uuid #7>","#,
        };
        let region = if self.global() { "us-east-1" } else { "<@region>" };
        let host = match *service {
            "s3" if request.contains("<bucket>") => "<bucket>.s3.<@region>.amazonaws.com".to_owned(),
            _ if self.global() => format!("{service}.amazonaws.com"),
            _ => format!("{service}.<@region>.amazonaws.com"),
        };
        let category = if *data { "Data" } else { "Management" };
        format!(
            r#"{{"eventVersion":"<@version>","userIdentity":{identity},"eventTime":"<iso 0>Z","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"{region}","sourceIPAddress":"<@address>","userAgent":"<@agent>",<?@failed>{error}<)>"requestParameters":{request},"responseElements":<?@failed>null<:>{response}<)>,{more}{request_id}"eventID":"<uuid>","readOnly":{read},{resources}"eventType":"{event_type}",{api}"managementEvent":{},"recipientAccountId":"<@account>",{shared}<?@endpoint>"vpcEndpointId":"<@endpoint>","vpcEndpointAccountId":"<@account>",<)>"eventCategory":"{category}"<?@tls>,"tlsDetails":{{<@tls>,"clientProvidedHostHeader":"{host}"}}<)><?@console>,"sessionCredentialFromConsole":"true"<)>}}"#,
            !data
        )
    }
}

/// How calls of a service fail; `{action}` stands for the IAM action.
fn default_error(service: &str) -> &'static str {
    match service {
        "ec2" => {
            r#"<(>"errorCode":"Client.UnauthorizedOperation","errorMessage":"You are not authorized to perform this operation. User: <@arn> is not authorized to perform: {action} because no identity-based policy allows the {action} action<?40>. Encoded authorization failure message: <base64 360><)>",<|>"errorCode":"Client.RequestLimitExceeded","errorMessage":"Request limit exceeded.",<|>"errorCode":"Client.DryRunOperation","errorMessage":"Request would have succeeded, but DryRun flag is set.",<)>"#
        }
        "s3" => {
            r#"<(>"errorCode":"AccessDenied","errorMessage":"Access Denied",<|>"errorCode":"AccessDenied","errorMessage":"User: <@arn> is not authorized to perform: {action} on resource: \"arn:aws:s3:::<bucket>\" because no resource-based policy allows the {action} action",<|>"errorCode":"NoSuchKey","errorMessage":"The specified key does not exist.",<)>"#
        }
        "dynamodb" => {
            r#"<(>"errorCode":"ConditionalCheckFailedException","errorMessage":"The conditional request failed",<|>"errorCode":"ProvisionedThroughputExceededException","errorMessage":"The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.",<)>"#
        }
        _ => {
            r#"<(>"errorCode":"AccessDenied","errorMessage":"User: <@arn> is not authorized to perform: {action}<?50> on resource: *<)> because no identity-based policy allows the {action} action",<|>"errorCode":"ThrottlingException","errorMessage":"Rate exceeded",<|>"errorCode":"ResourceNotFoundException"<?60>,"errorMessage":"The requested resource could not be found."<)>,<|>"errorCode":"ValidationException","errorMessage":"<int 1 3> validation error<pick s|> detected: Value at '<pick name|limit|nextToken|resourceId>' failed to satisfy constraint",<)>"#
        }
    }
}
