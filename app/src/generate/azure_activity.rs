//! Azure activity log: JSON lines, one file an hour and subscription.

use anyhow::{Context, Result};

use super::{
    Job,
    attack::Story,
    plan::hourly,
    scene::{Scene, civil},
    sink::{Frame, Sink, Stream},
    template::{Names, Template},
    world::{PERSON, World},
};

const FILE_BYTES_MIN: u64 = 6_000;

const NAMES: Names = Names {
    vars: &[
        "subscription",
        "tenant",
        "user",
        "email",
        "name",
        "id",
        "given",
        "family",
        "address",
        "operation",
        "resource",
        "kind",
        "group",
        "outcome",
        "signature",
        "extra",
    ],
    pools: &[
        PERSON,
        ("group", 14, "rg-<pick shop|data|core|ml|network|backup>-<pick prod|stage|dev>"),
        ("site", 20, "<pick orders|billing|search|portal>-<pick prod|dev>-<hex 4>"),
        ("storage", 20, "st<pick shop|data|logs|backup><hex 6>"),
        ("vault", 8, "kv-<pick shop|data|core>-<hex 4>"),
        ("machine", 30, "vm-<pick web|db|batch|jump>-<digits 2>"),
        ("principal", 15, "<uuid>|<uuid>|<pick sp-deploy|sp-backup|sp-aks|sp-monitor>-<digits 2>"),
        ("region", 3, "<pick westeurope|eastus2|northeurope>|<pick West Europe|East US 2|North Europe>"),
        (
            "role",
            6,
            "<pick Contributor|Reader|Owner|Storage Blob Data Contributor|Key Vault Secrets User>|<hex 32>",
        ),
    ],
    fragments: &[
        ("provider", "/subscriptions/<@subscription>/resourceGroups/<@group>/providers"),
        (
            "user",
            r#""aud":"https://management.core.windows.net/","iss":"https://sts.windows.net/<@tenant>/","iat":"<epoch -900>","nbf":"<epoch -900>","exp":"<epoch 3900>","http://schemas.microsoft.com/claims/authnclassreference":"1","aio":"<base62 80>","http://schemas.microsoft.com/claims/authnmethodsreferences":"<pick pwd|pwd,mfa|pwd,rsa,mfa>","appid":"c44b4083-3bb0-49c1-b47d-974e53cbdf3c","appidacr":"<pick 0|2>",<?40>"groups":"<*1 5><uuid><)>",<)>"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname":"<@family>","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname":"<@given>","ipaddr":"<@address>","name":"<@name>","http://schemas.microsoft.com/identity/claims/objectidentifier":"<@id>","puid":"100320<base36 10>","rh":"0.<base62 40>.","http://schemas.microsoft.com/identity/claims/scope":"user_impersonation","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier":"<base62 43>","http://schemas.microsoft.com/identity/claims/tenantid":"<@tenant>","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name":"<@email>","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"<@email>","uti":"<base62 22>","ver":"1.0"<?50>,"wids":"<uuid>"<)>,"xms_tcdt":"1502191230""#,
        ),
        (
            "app",
            r#""aud":"https://management.core.windows.net/","iss":"https://sts.windows.net/<@tenant>/","iat":"<epoch -300>","nbf":"<epoch -300>","exp":"<epoch 86100>","aio":"<base62 40>","appid":"<principal.1>","appidacr":"2","http://schemas.microsoft.com/identity/claims/identityprovider":"https://sts.windows.net/<@tenant>/","idtyp":"app","http://schemas.microsoft.com/identity/claims/objectidentifier":"<principal>","rh":"0.<base62 40>.","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier":"<principal>","http://schemas.microsoft.com/identity/claims/tenantid":"<@tenant>","uti":"<base62 22>","ver":"1.0","xms_tcdt":"1502191230""#,
        ),
        (
            "evidence",
            r#"{"role":"<pick Owner|User Access Administrator>","roleAssignmentScope":"/subscriptions/<@subscription>","roleAssignmentId":"<hex 32>","roleDefinitionId":"<hex 32>","principalId":"<@id>","principalType":"<?@user>User<:>ServicePrincipal<)>"}"#,
        ),
    ],
};

/// An administrative event.
const ADMINISTRATIVE: &str = r#"{<?60>"RoleLocation":"<region.1>","Stamp":"PRDEWE<int 1 4>","ReleaseVersion":"6.2024.<int 10 50>.<int 1 9>+<hex 8>.release_2024w<int 10 50>",<)>"time":"<iso 7>Z","resourceId":"<@resource>","operationName":"<@operation>","category":"Administrative","resultType":"<@outcome>","resultSignature":"<@signature>","durationMs":"<log 1 30000>","callerIpAddress":"<@address>","correlationId":"<uuid>","identity":{"authorization":{"scope":"<@resource>","action":"<@operation>","evidence":<&evidence>},"claims":{<?@user><&user><:><&app><)>}},"level":"<pick Information|Information|Warning>"<?40>,"location":"global"<)>,"properties":{<?50>"statusCode":"<pick OK|Created|Accepted>","serviceRequestId":"<uuid>",<)>"eventCategory":"Administrative","entity":"<@resource>","message":"<@operation>","hierarchy":"<@tenant>/<@subscription>"<@extra>},"tenantId":"<@tenant>"}"#;

/// Other categories, whole.
const OTHERS: &[&str] = &[
    r#"{"time":"<iso 7>Z","resourceId":"<@resource>","operationName":"Microsoft.Resourcehealth/healthevent/<pick Activated|Resolved|Updated>/action","category":"ResourceHealth","resultType":"<pick Active|Resolved|Updated>","correlationId":"<uuid>","level":"Critical","properties":{"eventCategory":"ResourceHealth","eventProperties":{"title":"Unavailable","details":"","currentHealthStatus":"<pick Unavailable|Available|Degraded>","previousHealthStatus":"Available","type":"Downtime","cause":"PlatformInitiated"}}}"#,
    r#"{"time":"<iso 7>Z","resourceId":"<@resource>","operationName":"Microsoft.Authorization/policies/<pick audit|auditIfNotExists|deny>/action","category":"Policy","resultType":"Success","resultSignature":"Succeeded.","durationMs":"0","correlationId":"<uuid>","identity":{"authorization":{"scope":"<@resource>","action":"Microsoft.Resources/checkPolicyCompliance/read"},"claims":{<&app>}},"level":"Warning","properties":{"isComplianceCheck":"True","resourceLocation":"<region>","ancestors":"<@tenant>","policies":"[{\"policyDefinitionId\":\"/providers/Microsoft.Authorization/policyDefinitions/<uuid>\",\"policyDefinitionEffect\":\"audit\",\"policyAssignmentName\":\"baseline\"}]","eventCategory":"Policy","entity":"<@resource>"}}"#,
    r#"{"time":"<iso 7>Z","resourceId":"/SUBSCRIPTIONS/<@subscription>","operationName":"Microsoft.ServiceHealth/<pick incident|maintenance>/action","category":"ServiceHealth","resultType":"<pick Active|Resolved>","correlationId":"<uuid>","level":"Informational","properties":{"eventCategory":"ServiceHealth","eventProperties":{"title":"Planned maintenance","service":"<pick Virtual Machines|Storage|SQL Database>","region":"<region.1>","incidentType":"<pick Maintenance|Incident>","trackingId":"<base36 4>-<base36 3>","impactStartTime":"<iso 0 3600>Z"}}}"#,
    r#"{"time":"<iso 7>Z","resourceId":"/SUBSCRIPTIONS/<@subscription>/PROVIDERS/MICROSOFT.SECURITY/LOCATIONS/WESTEUROPE/ALERTS/<uuid>","operationName":"Microsoft.Security/locations/alerts/activate/action","category":"Security","resultType":"Active","correlationId":"<uuid>","level":"<pick Warning|Informational>","properties":{"eventCategory":"Security","eventName":"Suspicious authentication activity","operationId":"<uuid>","eventProperties":{"compromisedEntity":"<machine>","severity":"<pick Low|Medium>","attackers":"<ip>"}}}"#,
];

/// Operation, resource below the group's providers, and further properties.
const OPERATIONS: &[(u32, &str, &str, &str)] = &[
    (
        20,
        "MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION",
        "Microsoft.Storage/storageAccounts/<storage>",
        "",
    ),
    (
        14,
        "MICROSOFT.RESOURCES/DEPLOYMENTS/WRITE",
        "Microsoft.Resources/deployments/deploy-<hex 8>",
        r#","requestbody":"{\"properties\":{\"mode\":\"Incremental\",\"templateHash\":\"<digits 19>\"}}""#,
    ),
    (
        12,
        "MICROSOFT.COMPUTE/VIRTUALMACHINES/WRITE",
        "Microsoft.Compute/virtualMachines/<machine>",
        r#","responseBody":"{\"location\":\"<region>\",\"properties\":{\"vmId\":\"<uuid>\",\"hardwareProfile\":{\"vmSize\":\"Standard_D<pick 2|4|8>s_v5\"},\"provisioningState\":\"Updating\"}}""#,
    ),
    (8, "MICROSOFT.COMPUTE/VIRTUALMACHINES/START/ACTION", "Microsoft.Compute/virtualMachines/<machine>", ""),
    (
        8,
        "MICROSOFT.COMPUTE/VIRTUALMACHINES/DEALLOCATE/ACTION",
        "Microsoft.Compute/virtualMachines/<machine>",
        "",
    ),
    (
        3,
        "MICROSOFT.COMPUTE/VIRTUALMACHINES/RUNCOMMAND/ACTION",
        "Microsoft.Compute/virtualMachines/<machine>",
        "",
    ),
    (10, "MICROSOFT.WEB/SITES/PUBLISHXML/ACTION", "Microsoft.Web/sites/<site>", ""),
    (
        8,
        "MICROSOFT.WEB/SITES/WRITE",
        "Microsoft.Web/sites/<site>",
        r#","responseBody":"{\"kind\":\"app,linux\",\"properties\":{\"state\":\"Running\",\"httpsOnly\":true}}""#,
    ),
    (6, "MICROSOFT.KEYVAULT/VAULTS/WRITE", "Microsoft.KeyVault/vaults/<vault>", ""),
    (
        4,
        "MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/SECURITYRULES/WRITE",
        "Microsoft.Network/networkSecurityGroups/nsg-web/securityRules/allow-<digits 3>",
        r#","requestbody":"{\"properties\":{\"access\":\"Allow\",\"protocol\":\"Tcp\",\"destinationPortRange\":\"<int 22 9000>\",\"sourceAddressPrefix\":\"10.0.0.0/8\",\"direction\":\"Inbound\",\"priority\":<int 100 4000>}}""#,
    ),
    (
        3,
        "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/WRITE",
        "Microsoft.Authorization/roleAssignments/<uuid>",
        r#","requestbody":"{\"Id\":\"<uuid>\",\"Properties\":{\"PrincipalId\":\"<principal>\",\"PrincipalType\":\"ServicePrincipal\",\"RoleDefinitionId\":\"/providers/Microsoft.Authorization/roleDefinitions/<uuid>\",\"Scope\":\"/subscriptions/<@subscription>/resourceGroups/<@group>\"}}""#,
    ),
    (
        2,
        "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/DELETE",
        "Microsoft.Authorization/roleAssignments/<uuid>",
        "",
    ),
    (
        4,
        "MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/LISTCLUSTERUSERCREDENTIAL/ACTION",
        "Microsoft.ContainerService/managedClusters/aks-core",
        "",
    ),
    (
        3,
        "MICROSOFT.SQL/SERVERS/FIREWALLRULES/WRITE",
        "Microsoft.Sql/servers/sql-shop/firewallRules/office",
        "",
    ),
    (3, "MICROSOFT.INSIGHTS/DIAGNOSTICSETTINGS/WRITE", "Microsoft.Insights/diagnosticSettings/to-blob", ""),
    (3, "MICROSOFT.RESOURCES/TAGS/WRITE", "Microsoft.Resources/tags/default", ""),
];

/// The attack's role assignment: the stolen account makes itself owner.
const TAKEOVER: (&str, &str, &str) = (
    "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/WRITE",
    "/subscriptions/<@subscription>/providers/Microsoft.Authorization/roleAssignments/<uuid>",
    r#","requestbody":"{\"Id\":\"<uuid>\",\"Properties\":{\"PrincipalId\":\"<@id>\",\"PrincipalType\":\"User\",\"RoleDefinitionId\":\"/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635\",\"Scope\":\"/subscriptions/<@subscription>\"}}""#,
);

/// Writes all files of the source.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let weights: Vec<f64> = (0..job.world.subscriptions.len()).map(|at| 1.0 / (at + 1) as f64).collect();
    let mut logs: Vec<Log> = Vec::new();
    for slot in hourly(job.span, &weights, job.bytes, FILE_BYTES_MIN) {
        while logs.len() <= slot.lane {
            logs.push(Log::new(job.world, logs.len())?);
        }
        let name = format!(
            "azure/insights-activity-logs/resourceId=/SUBSCRIPTIONS/{}/{}/PT1H.json",
            job.world.subscriptions[slot.lane].to_uppercase(),
            civil(slot.from_ms).strftime("y=%Y/m=%m/d=%d/h=%H/m=00")
        );
        sink.file(&slot, &name, Frame::LINES, &mut logs[slot.lane])?;
    }
    Ok(())
}

/// The activity log of one subscription.
struct Log {
    scene: Scene,
    administrative: Template,
    others: Vec<Template>,
    operations: Vec<(u32, &'static str, Template, Template)>,
    takeover: (Template, Template),
    who: [Template; 7],
    /// Address and id of an application.
    app: [Template; 2],
    group: Template,
    /// An operation's end, to be written after its start.
    ends: bool,
    story: Story,
}

/// Variables that say who acts.
const WHO: [&str; 7] = ["user", "email", "name", "id", "given", "family", "address"];

impl Log {
    fn new(world: &World, lane: usize) -> Result<Self> {
        let mut rng = world.rng("azure.activity", lane);
        let people = world.people_pool(&mut rng);
        let vars = [("subscription", &*world.subscriptions[lane]), ("tenant", &*world.tenant)];
        let mut scene = Scene::new(NAMES, rng, &vars)?;
        scene.fill("person", people)?;
        let parse = |text: &str| Template::parse(text, &NAMES);
        let operation = |row: &(u32, &'static str, &str, &str)| -> Result<_> {
            let resource = parse(&format!("<&provider>/{}", row.2))?;
            Ok((row.0, row.1, resource, parse(row.3)?))
        };
        Ok(Self {
            scene,
            administrative: parse(ADMINISTRATIVE)?,
            others: OTHERS.iter().map(|text| parse(text)).collect::<Result<_>>()?,
            operations: OPERATIONS.iter().map(operation).collect::<Result<_>>()?,
            takeover: (parse(TAKEOVER.1)?, parse(TAKEOVER.2)?),
            who: [
                parse("<person>")?,
                parse("<person.1>")?,
                parse("<person.2>")?,
                parse("<person.3>")?,
                parse("<person.4>")?,
                parse("<person.5>")?,
                parse("<?80><person.6><:><ip><)>")?,
            ],
            app: [parse("<ip>")?, parse("<principal>")?],
            group: parse("<group>")?,
            ends: false,
            story: Story::new(world),
        })
    }

    /// Chooses who acts and on what.
    fn choose(&mut self) -> Result<()> {
        if self.scene.rng.u8(..100) < 55 {
            for (name, template) in WHO.iter().zip(&self.who) {
                let value = self.scene.text(template);
                self.scene.set(name, &value)?;
            }
        } else {
            WHO.iter().try_for_each(|name| self.scene.set(name, ""))?;
            let address = self.scene.text(&self.app[0]);
            let id = self.scene.text(&self.app[1]);
            self.scene.set("address", &address)?;
            self.scene.set("id", &id)?;
        }
        let group = self.scene.text(&self.group);
        self.scene.set("group", &group)?;
        let total: u32 = self.operations.iter().map(|row| row.0).sum();
        let mut at = self.scene.rng.u32(..total);
        let row = self.operations.iter().find(|row| {
            let hit = at < row.0;
            at = at.saturating_sub(row.0);
            hit
        });
        let (_, operation, resource, extra) = row.context("no operations")?;
        let resource = self.scene.text(resource);
        let extra = self.scene.text(extra);
        self.scene.set("operation", operation)?;
        self.scene.set("resource", &resource.to_uppercase())?;
        self.scene.set("extra", &extra)
    }

    fn administrative(&mut self, outcome: &str, signature: &str, out: &mut Vec<u8>) -> Result<()> {
        self.scene.set("outcome", outcome)?;
        self.scene.set("signature", signature)?;
        self.scene.render(&self.administrative, out);
        Ok(())
    }
}

impl Stream for Log {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        self.scene.begin(now_ms);
        if !self.ends {
            self.choose()?;
        }
        let other = !self.ends && self.scene.rng.u8(..100) < 6;
        if other {
            let at = self.scene.rng.usize(..self.others.len());
            self.scene.render(&self.others[at], out);
            return Ok(());
        }
        let (outcome, signature) = match (self.ends, self.scene.rng.u8(..8)) {
            (false, _) => ("Start", "Started."),
            (true, 0) => ("Failure", "Failed.Forbidden"),
            (true, 1..4) => ("Success", "Succeeded.Created"),
            (true, _) => ("Success", "Succeeded."),
        };
        self.administrative(outcome, signature, out)?;
        self.ends = !self.ends;
        Ok(())
    }

    fn attack(&mut self, _step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        self.ends = false;
        self.scene.begin(now_ms);
        let person = &self.story.person;
        let name = format!("{} {}", person.given, person.family);
        let values =
            [&person.user, &person.email, &name, &person.id, person.given, person.family, &self.story.ip];
        for (variable, value) in WHO.iter().zip(values) {
            self.scene.set(variable, value)?;
        }
        let (resource, extra) = (self.scene.text(&self.takeover.0), self.scene.text(&self.takeover.1));
        self.scene.set("operation", TAKEOVER.0)?;
        self.scene.set("resource", &resource.to_uppercase())?;
        self.scene.set("extra", &extra)?;
        self.administrative("Success", "Succeeded.Created", out)
    }
}
