//! Entra sign-in logs in their four categories: JSON lines, one file an hour and category.

use anyhow::Result;

use super::{
    Job,
    attack::Story,
    plan::hourly,
    scene::{Scene, civil},
    sink::{Frame, Sink, Stream},
    template::{Names, Template},
    world::{PERSON, World},
};

const FILE_BYTES_MIN: u64 = 8_000;

/// Container, share and template of each category.
const CATEGORIES: [(&str, f64, &str); 4] = [
    ("insights-logs-signinlogs", 0.35, INTERACTIVE),
    ("insights-logs-noninteractiveusersigninlogs", 0.4, NON_INTERACTIVE),
    ("insights-logs-serviceprincipalsigninlogs", 0.17, SERVICE_PRINCIPAL),
    ("insights-logs-managedidentitysigninlogs", 0.08, MANAGED_IDENTITY),
];

const NAMES: Names = Names {
    vars: &["tenant", "user", "email", "name", "id", "address", "stolen", "failure"],
    pools: &[
        PERSON,
        (
            "app",
            12,
            "<uuid>|<pick Azure Portal|Office 365 Exchange Online|Microsoft Teams|Azure CLI|Salesforce|GitHub Enterprise|Wiki|VPN Gateway>",
        ),
        (
            "resource",
            8,
            "<uuid>|<pick Microsoft Graph|Windows Azure Service Management API|Office 365 SharePoint Online|Windows Azure Active Directory>",
        ),
        (
            "device",
            60,
            "<uuid>|<pick LT|WS>-<base36 6>|<pick Windows 10|Windows 11|MacOs|Ios 17.4|Android 14>|<pick Edge 122.0.0|Chrome 123.0.0|Safari 17.3|Firefox 123.0>",
        ),
        (
            "principal",
            15,
            "<uuid>|<uuid>|<pick sp-deploy|sp-backup|sp-aks|sp-report|gh-actions>-<digits 2>|<uuid>",
        ),
        ("identity", 15, "<uuid>|<uuid>|<pick vm-web|vm-batch|func-orders|aks-core-agentpool>-<digits 2>"),
        (
            "place",
            20,
            r#"<(>NL|"state":"Noord-Holland","city":"Amsterdam"<|>DE|"state":"Berlin","city":"Berlin"<|>FR|"state":"Paris","city":"Paris"<|>GB|"state":"London, City of","city":"London"<|>US|"state":"Washington","city":"Seattle"<)>"#,
        ),
        (
            "policy",
            6,
            "<uuid>|<pick Require MFA for admins|Block legacy authentication|Require compliant device|MFA for all users|Sign-in risk policy>",
        ),
        (
            "agent",
            20,
            "Mozilla/5.0 (<pick Windows NT 10.0; Win64; x64|Macintosh; Intel Mac OS X 10_15_7>) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12<int 0 9>.0.0.0 Safari/537.36<?40> Edg/12<int 0 9>.0.0.0<)>",
        ),
    ],
    fragments: &[
        (
            "head",
            r#"{"time":"<iso 7 #1>Z","resourceId":"/tenants/<@tenant>/providers/Microsoft.aadiam","operationName":"Sign-in activity","operationVersion":"1.0""#,
        ),
        (
            "result",
            r#""tenantId":"<@tenant>","resultType":"<?@failure><@failure><:>0<)>","resultSignature":"<pick None|SUCCESS>"<?@failure>,"resultDescription":"<&reason>"<)>,"durationMs":0"#,
        ),
        (
            "reason",
            "<pick Error validating credentials due to invalid username or password.|The user has not completed the MFA prompt.|Sign-in was blocked by a conditional access policy.>",
        ),
        (
            "status",
            r#""status":{"errorCode":<?@failure><@failure>,"failureReason":"<&reason>"<:>0<?@stolen><:><?40>,"additionalDetails":"MFA requirement satisfied by claim in the token"<)><)><)>}"#,
        ),
        (
            "location",
            r#""location":{<?@stolen>"city":"Unknownville","state":"","countryOrRegion":"ZZ"<:>"countryOrRegion":"<place>",<place.1><)>,"geoCoordinates":{"latitude":<int 40 59>.<digits 13>,"longitude":<int 1 20>.<digits 13>}}"#,
        ),
        (
            "policies",
            r#""conditionalAccessStatus":"<?@failure>failure<:><?@stolen>notApplied<:><pick success|success|notApplied><)><)>","appliedConditionalAccessPolicies":[<*0 4>{"id":"<policy!>","displayName":"<policy.1>","enforcedGrantControls":[<?60>"<pick Mfa|Block|RequireCompliantDevice>"<)>],"enforcedSessionControls":[<?20>"SignInFrequency"<)>],"result":"<?@stolen>notApplied<:><pick success|notApplied|notEnabled|reportOnlySuccess><)>","conditionsSatisfied":<int 0 31>,"conditionsNotSatisfied":<int 0 16>}<)>]"#,
        ),
        (
            "risk",
            r#""riskDetail":"none","riskLevelAggregated":"<?@stolen>medium<:><pick none|none|none|low><)>","riskLevelDuringSignIn":"<?@stolen>medium<:>none<)>","riskState":"<?@stolen>atRisk<:>none<)>","riskEventTypes":[<?@stolen>"unfamiliarFeatures"<)>],"riskEventTypes_v2":[<?@stolen>"unfamiliarFeatures"<)>]"#,
        ),
        (
            "tail",
            r#""flaggedForReview":false,"isTenantRestricted":false,<?80>"autonomousSystemNumber":<int 1000 65000>,<)>"crossTenantAccessType":"none",<?50>"privateLinkDetails":{},<)>"uniqueTokenIdentifier":"<base62 22>","incomingTokenType":"<pick none|refreshToken|primaryRefreshToken>","authenticationProtocol":"<pick none|oAuth2|deviceCode>""#,
        ),
        (
            "person",
            r#""userDisplayName":"<@name>","userPrincipalName":"<@email>","userId":"<@id>","appId":"<app>","appDisplayName":"<app.1>","ipAddress":"<@address>""#,
        ),
        (
            "device",
            r#""deviceDetail":{"deviceId":"<?@stolen><:><?70><device><)><)>",<?50>"displayName":"<device.1>",<)>"operatingSystem":"<device.2>","browser":"<device.3>"<?40>,"isCompliant":true,"isManaged":true,"trustType":"Azure AD joined"<)>}"#,
        ),
    ],
};

const INTERACTIVE: &str = r#"<&head>,"category":"SignInLogs",<&result>,"callerIpAddress":"<@address>","correlationId":"<uuid #2>","identity":"<@name>","Level":4,"location":"<?@stolen>ZZ<:><place><)>","properties":{"id":"<uuid #3>","createdDateTime":"<iso 7 #1>+00:00",<&person>,<&status>,"clientAppUsed":"<pick Browser|Mobile Apps and Desktop clients>","userAgent":"<?@stolen>python-requests/2.31.0<:><agent><)>",<&device>,<&location>,"mfaDetail":{<?@stolen><:><?40>"authMethod":"<pick Mobile app notification|FIDO2 security key>"<)><)>},"correlationId":"<uuid #2>",<&policies>,"originalRequestId":"<uuid #3>","isInteractive":true,"tokenIssuerName":"","tokenIssuerType":"AzureAD","authenticationProcessingDetails":[<*0 3>{"key":"<pick Login Hint Present|Legacy TLS (TLS 1.0, 1.1, 3DES)|Is CAE Token|Root Key Type>","value":"<pick True|False|Unknown>"}<)>],"networkLocationDetails":[<?@stolen><:><?30>{"networkType":"trustedNamedLocation","networkNames":["office"]}<)><)>],"processingTimeInMilliseconds":<log 30 6000>,<&risk>,"resourceDisplayName":"<resource.1>","resourceId":"<resource>","resourceTenantId":"<@tenant>","homeTenantId":"<@tenant>","authenticationDetails":[{"authenticationStepDateTime":"<iso 7 #1>+00:00","authenticationMethod":"<?@stolen>Password<:><pick Password|Previously satisfied|Passkey><)>","succeeded":<?@failure>false<:>true<)>,"authenticationStepRequirement":"Primary authentication","StatusSequence":0,"RequestSequence":<int 0 1>}<?@stolen><:><?40>,{"authenticationStepDateTime":"<iso 7 6>+00:00","authenticationMethod":"Mobile app notification","succeeded":true,"authenticationStepResultDetail":"MFA successfully completed","authenticationStepRequirement":"Multi-factor authentication","StatusSequence":0,"RequestSequence":1}<)><)>],"authenticationRequirementPolicies":[<?@stolen><:><?40>{"requirementProvider":"multiConditionalAccess","detail":"Conditional Access"}<)><)>],"authenticationRequirement":"<?@stolen>single<:><pick multi|multi|single><)>FactorAuthentication","servicePrincipalId":"","userType":"<pick Member|Member|Member|Guest>",<&tail>}}"#;
const NON_INTERACTIVE: &str = r#"<&head>,"category":"NonInteractiveUserSignInLogs",<&result>,"callerIpAddress":"<@address>","correlationId":"<uuid #2>","identity":"<@name>","Level":4,"location":"<place>","properties":{"id":"<uuid #3>","createdDateTime":"<iso 7 #1>+00:00",<&person>,<&status>,"clientAppUsed":"<pick Browser|Mobile Apps and Desktop clients|Exchange ActiveSync>"<?60>,"userAgent":"<agent>"<)>,<&device>,<&location>,"mfaDetail":{},"correlationId":"<uuid #2>",<&policies>,"originalRequestId":"<uuid #3>","isInteractive":false,"tokenIssuerName":"","tokenIssuerType":"AzureAD","authenticationProcessingDetails":[<*1 3>{"key":"<pick Oauth Scope Info|Is CAE Token|Legacy TLS (TLS 1.0, 1.1, 3DES)>","value":"<pick False|[\"User.Read\",\"Mail.Read\"]|[\"user_impersonation\"]>"}<)>],"networkLocationDetails":[],"processingTimeInMilliseconds":<log 30 2000>,<&risk>,"resourceDisplayName":"<resource.1>","resourceId":"<resource>","resourceTenantId":"<@tenant>","homeTenantId":"<@tenant>","authenticationDetails":[],"authenticationRequirementPolicies":[],"authenticationRequirement":"singleFactorAuthentication","servicePrincipalId":"","userType":"Member",<&tail>}}"#;
const SERVICE_PRINCIPAL: &str = r#"<&head>,"category":"ServicePrincipalSignInLogs",<&result>,"callerIpAddress":"<@address>","correlationId":"<uuid #2>","Level":4,"location":"<place>","properties":{"id":"<uuid>","createdDateTime":"<iso 7 #1>+00:00","userId":null,"appId":"<principal.1>","ipAddress":"<@address>",<&status>,<&location>,"correlationId":"<uuid #2>","conditionalAccessStatus":"notApplied","appliedConditionalAccessPolicies":[],"isInteractive":false,"tokenIssuerType":"AzureAD","authenticationProcessingDetails":[<?60>{"key":"Azure AD App Authentication Library","value":"Family: MSAL Library: MSAL.NetCore 4.5<int 0 9>.0 Platform: Linux"}<)>],"processingTimeInMilliseconds":<int 0 90>,"riskDetail":"none","riskLevelAggregated":"low","riskLevelDuringSignIn":"low","riskState":"none","resourceDisplayName":"<resource.1>","resourceId":"<resource>","servicePrincipalName":"<principal.2>","servicePrincipalId":"<principal>","servicePrincipalCredentialKeyId":"<principal.3>",<?40>"servicePrincipalCredentialThumbprint":"",<)><&tail>}}"#;
const MANAGED_IDENTITY: &str = r#"<&head>,"category":"ManagedIdentitySignInLogs",<&result>,"correlationId":"<uuid #2>","Level":4,"properties":{"id":"<uuid>","createdDateTime":"<iso 7 #1>+00:00","userId":null,"appId":"<identity.1>","ipAddress":"",<&status>,"location":{"city":"","state":"","countryOrRegion":"","geoCoordinates":{"latitude":0.0,"longitude":0.0}},"correlationId":"<uuid #2>","conditionalAccessStatus":"notApplied","appliedConditionalAccessPolicies":[],"isInteractive":false,"tokenIssuerType":"AzureAD","processingTimeInMilliseconds":0,"riskDetail":"none","riskLevelAggregated":"low","riskLevelDuringSignIn":"low","riskState":"none","resourceDisplayName":"<resource.1>","resourceId":"<resource>","servicePrincipalName":"<identity.2>","servicePrincipalId":"<identity>",<&tail>}}"#;

/// Writes all files of the source.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let weights = CATEGORIES.map(|category| category.1);
    let mut logs: Vec<Log> = Vec::new();
    for slot in hourly(job.span, &weights, job.bytes, FILE_BYTES_MIN) {
        while logs.len() <= slot.lane {
            logs.push(Log::new(job.world, logs.len())?);
        }
        let name = format!(
            "azure/{}/tenantId={}/{}/PT1H.json",
            CATEGORIES[slot.lane].0,
            job.world.tenant,
            civil(slot.from_ms).strftime("y=%Y/m=%m/d=%d/h=%H/m=00")
        );
        sink.file(&slot, &name, Frame::LINES, &mut logs[slot.lane])?;
    }
    Ok(())
}

/// The log of one category.
struct Log {
    scene: Scene,
    template: Template,
    /// Name, e-mail, id and address of who signs in.
    who: [(&'static str, Template); 4],
    story: Story,
}

impl Log {
    fn new(world: &World, category: usize) -> Result<Self> {
        let mut rng = world.rng("azure.signin", category);
        let people = world.people_pool(&mut rng);
        let mut scene = Scene::new(NAMES, rng, &[("tenant", &world.tenant)])?;
        scene.fill("person", people)?;
        let parse = |text: &str| Template::parse(text, &NAMES);
        Ok(Self {
            scene,
            template: parse(CATEGORIES[category].2)?,
            who: [
                ("name", parse("<person.2>")?),
                ("email", parse("<person.1>")?),
                ("id", parse("<person.3>")?),
                ("address", parse("<?85><person.6><:><?10><ip6><:><ip><)><)>")?),
            ],
            story: Story::new(world),
        })
    }
}

impl Stream for Log {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        self.scene.begin(now_ms);
        for (name, template) in &self.who {
            let value = self.scene.text(template);
            self.scene.set(name, &value)?;
        }
        self.scene.set("stolen", "")?;
        let failure = match self.scene.rng.u8(..100) {
            0..4 => "50126",
            4..6 => "50074",
            6 => "53003",
            _ => "",
        };
        self.scene.set("failure", failure)?;
        self.scene.render(&self.template, out);
        Ok(())
    }

    fn attack(&mut self, _step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        self.scene.begin(now_ms);
        let person = &self.story.person;
        self.scene.set("name", &format!("{} {}", person.given, person.family))?;
        self.scene.set("email", &person.email)?;
        self.scene.set("id", &person.id)?;
        self.scene.set("address", &self.story.ip)?;
        self.scene.set("stolen", "1")?;
        self.scene.set("failure", "")?;
        self.scene.render(&self.template, out);
        Ok(())
    }
}
