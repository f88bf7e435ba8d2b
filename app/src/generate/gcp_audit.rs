//! GCP audit logs: JSON lines, one file an hour and log.

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

const FILE_BYTES_MIN: u64 = 5_000;

/// Folder of a log and its share.
const LOGS: [(&str, f64); 3] = [("activity", 0.4), ("data_access", 0.55), ("system_event", 0.05)];

const NAMES: Names = Names {
    vars: &[
        "project",
        "log",
        "email",
        "address",
        "denied",
        "agent",
        "service",
        "method",
        "permission",
        "resource",
        "type",
        "request",
        "response",
        "human",
    ],
    pools: &[
        PERSON,
        (
            "account",
            14,
            "<pick deploy|backup|gke-nodes|etl|ci|terraform>-<digits 2>@<@project>.iam.gserviceaccount.com|<digits 21>",
        ),
        ("bucket", 20, "<pick shop|data|ml|logs>-<pick exports|models|raw|backup>-<hex 5>"),
        (
            "object",
            150,
            "<pick raw|daily|models>/<pick orders|users|clicks>/<digits 8>-<hex 6>.<pick avro|json|parquet>",
        ),
        ("vm", 30, "<pick gke-core|web|batch>-<hex 4>|<digits 19>"),
        ("zone", 4, "<pick us-central1|europe-west4>-<pick a|b|c>"),
        ("dataset", 8, "<pick sales|events|finance|ml_features>"),
        ("secret", 10, "<pick db-password|api-token|tls-key>-<pick prod|dev>"),
        (
            "agent",
            12,
            "<(>google-cloud-sdk gcloud/46<int 0 9>.0.0 command/gcloud.compute.instances.list invocation-id/<hex 32> environment/None interactive/True python/3.11.8,gzip(gfe)<|>Terraform/1.<int 5 9>.0 (+https://www.terraform.io) terraform-provider-google/5.<int 1 30>.0,gzip(gfe)<|>Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12<int 0 9>.0.0.0 Safari/537.36,gzip(gfe),gzip(gfe)<|>google-api-go-client/0.5 gl-go/1.2<int 1 3> gdcl/0.1<int 50 70>.0<)>",
        ),
        (
            "role",
            8,
            "roles/<pick viewer|editor|storage.objectViewer|bigquery.dataViewer|iam.serviceAccountUser|container.developer>",
        ),
    ],
    fragments: &[
        (
            "kubernetes",
            r#"{"type":"k8s_cluster","labels":{"project_id":"<@project>","location":"us-central1","cluster_name":"core"}}"#,
        ),
        (
            "bindings",
            r#""bindings":[<*1 4>{"role":"<role!>","members":[<*1 3>"<(>user:<person.1!><|>serviceAccount:<account!><)>"<)>]}<)>]"#,
        ),
    ],
};

const ENTRY: &str = r#"{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","status":{<?@denied>"code":7,"message":"<pick PERMISSION_DENIED|Permission '<@permission>' denied on resource (or it may not exist).>"<)>},"authenticationInfo":{"principalEmail":"<@email>"<?@human><?40>,"principalSubject":"user:<@email>"<)><:><?50>,"serviceAccountKeyName":"//iam.googleapis.com/projects/<@project>/serviceAccounts/<@email>/keys/<hex 40>"<)><?50>,"principalSubject":"serviceAccount:<@email>"<)><)>},"requestMetadata":{"callerIp":"<@address>","callerSuppliedUserAgent":"<@agent>",<?20>"callerNetwork":"//compute.googleapis.com/projects/<@project>/global/networks/core",<)>"requestAttributes":{<?70>"time":"<iso 9>Z","auth":{}<)>},"destinationAttributes":{}},"serviceName":"<@service>","methodName":"<@method>","authorizationInfo":[{"resource":"<@resource>","permission":"<@permission>",<?@denied><:>"granted":true,<)>"resourceAttributes":{<?40>"service":"<@service>","name":"<@resource>","type":"<@type>"<)>}}],"resourceName":"<@resource>"<@request><@response><?40>,"resourceLocation":{"currentLocations":["<pick us-central1|europe-west4>"]}<)>},"insertId":"<hex 13>","resource":{"type":"<@type>","labels":{"project_id":"<@project>"<?60>,"location":"<zone>"<)>}},"timestamp":"<iso 9>Z","severity":"<?@denied>ERROR<:><pick NOTICE|INFO><)>","logName":"projects/<@project>/logs/cloudaudit.googleapis.com%2F<@log>"<?25>,"operation":{"id":"operation-<digits 13>-<hex 13>","producer":"<@service>","first":true<?50>,"last":true<)>}<)>,"receiveTimestamp":"<iso 9 1>Z"}"#;

/// A method of an API: log (index), weight, service, method, permission, resource, its type,
/// and what follows the resource's name (request and response).
type Method =
    (usize, u32, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const METHODS: &[Method] = &[
    (
        0,
        6,
        "compute.googleapis.com",
        "v1.compute.instances.insert",
        "compute.instances.create",
        "projects/<@project>/zones/<zone>/instances/<vm>",
        "gce_instance",
        r#","request":{"@type":"type.googleapis.com/compute.instances.insert","name":"<vm>","machineType":"projects/<@project>/zones/<zone>/machineTypes/e2-standard-<pick 2|4|8>","canIpForward":false,"disks":[<*1 2>{"type":"PERSISTENT","mode":"READ_WRITE","boot":true,"autoDelete":true}<)>],"networkInterfaces":[{"subnetwork":"projects/<@project>/regions/us-central1/subnetworks/core"}],"serviceAccounts":[{"email":"<account>","scopes":["https://www.googleapis.com/auth/cloud-platform"]}]},"response":{"@type":"type.googleapis.com/operation","id":"<digits 19>","name":"operation-<digits 13>-<hex 13>","operationType":"insert","status":"RUNNING","progress":"0","targetId":"<vm.1>","zone":"https://www.googleapis.com/compute/v1/projects/<@project>/zones/<zone>"}"#,
    ),
    (
        0,
        6,
        "compute.googleapis.com",
        "v1.compute.instances.delete",
        "compute.instances.delete",
        "projects/<@project>/zones/<zone>/instances/<vm>",
        "gce_instance",
        r#","request":{"@type":"type.googleapis.com/compute.instances.delete"}"#,
    ),
    (
        0,
        5,
        "compute.googleapis.com",
        "v1.compute.instances.setMetadata",
        "compute.instances.setMetadata",
        "projects/<@project>/zones/<zone>/instances/<vm>",
        "gce_instance",
        r#","request":{"@type":"type.googleapis.com/compute.instances.setMetadata","fingerprint":"<base64 11>="},"metadata":{"@type":"type.googleapis.com/google.cloud.audit.GceInstanceAuditMetadata","instanceMetadataDelta":{"modifiedMetadataKeys":["<pick ssh-keys|startup-script>"]}}"#,
    ),
    (
        0,
        4,
        "compute.googleapis.com",
        "v1.compute.firewalls.insert",
        "compute.firewalls.create",
        "projects/<@project>/global/firewalls/allow-<hex 4>",
        "gce_firewall_rule",
        r#","request":{"@type":"type.googleapis.com/compute.firewalls.insert","direction":"INGRESS","priority":"1000","alloweds":[{"IPProtocol":"tcp","ports":["<int 22 9000>"]}],"sourceRanges":["10.0.0.0/8"]}"#,
    ),
    (
        0,
        4,
        "iam.googleapis.com",
        "google.iam.admin.v1.CreateServiceAccount",
        "iam.serviceAccounts.create",
        "projects/<@project>",
        "service_account",
        r#","request":{"@type":"type.googleapis.com/google.iam.admin.v1.CreateServiceAccountRequest","account_id":"<pick etl|ci>-<digits 2>","name":"projects/<@project>"},"response":{"@type":"type.googleapis.com/google.iam.admin.v1.ServiceAccount","email":"<account>","unique_id":"<account.1>","project_id":"<@project>","etag":"<base64 11>="}"#,
    ),
    (
        0,
        4,
        "iam.googleapis.com",
        "google.iam.admin.v1.CreateServiceAccountKey",
        "iam.serviceAccountKeys.create",
        "projects/-/serviceAccounts/<account.1>",
        "service_account",
        r#","request":{"@type":"type.googleapis.com/google.iam.admin.v1.CreateServiceAccountKeyRequest","name":"projects/-/serviceAccounts/<account>"},"response":{"@type":"type.googleapis.com/google.iam.admin.v1.ServiceAccountKey","name":"projects/<@project>/serviceAccounts/<account>/keys/<hex 40>","key_algorithm":2,"private_key_type":2}"#,
    ),
    (
        0,
        3,
        "cloudresourcemanager.googleapis.com",
        "SetIamPolicy",
        "resourcemanager.projects.setIamPolicy",
        "projects/<@project>",
        "project",
        r#","serviceData":{"@type":"type.googleapis.com/google.iam.v1.logging.AuditData","policyDelta":{"bindingDeltas":[<*1 2>{"action":"<pick ADD|ADD|REMOVE>","role":"<role!>","member":"<(>user:<person.1!><|>serviceAccount:<account!><)>"}<)>]}},"request":{"@type":"type.googleapis.com/google.iam.v1.SetIamPolicyRequest","resource":"<@project>","policy":{<&bindings>,"etag":"<base64 11>="}},"response":{"@type":"type.googleapis.com/google.iam.v1.Policy",<&bindings>,"etag":"<base64 11>="}"#,
    ),
    (
        0,
        5,
        "storage.googleapis.com",
        "storage.buckets.create",
        "storage.buckets.create",
        "projects/_/buckets/<bucket>",
        "gcs_bucket",
        r#","serviceData":{"@type":"type.googleapis.com/google.iam.v1.logging.AuditData","policyDelta":{"bindingDeltas":[<*1 3>{"action":"ADD","role":"roles/storage.legacyBucketOwner","member":"projectEditor:<@project>"}<)>]}}"#,
    ),
    (
        0,
        3,
        "storage.googleapis.com",
        "storage.setIamPermissions",
        "storage.buckets.setIamPolicy",
        "projects/_/buckets/<bucket>",
        "gcs_bucket",
        r#","serviceData":{"@type":"type.googleapis.com/google.iam.v1.logging.AuditData","policyDelta":{"bindingDeltas":[{"action":"ADD","role":"roles/storage.objectViewer","member":"serviceAccount:<account>"}]}}"#,
    ),
    (
        0,
        4,
        "container.googleapis.com",
        "google.container.v1.ClusterManager.UpdateNodePool",
        "container.clusters.update",
        "projects/<@project>/locations/us-central1/clusters/core/nodePools/<pick default|spot>",
        "gke_nodepool",
        r#","request":{"@type":"type.googleapis.com/google.container.v1alpha1.UpdateNodePoolRequest","nodeVersion":"1.2<int 7 9>.<int 1 9>-gke.<int 100 2000>"}"#,
    ),
    (
        0,
        4,
        "run.googleapis.com",
        "google.cloud.run.v1.Services.ReplaceService",
        "run.services.update",
        "namespaces/<@project>/services/<pick api|web|worker>",
        "cloud_run_revision",
        r#","request":{"@type":"type.googleapis.com/google.cloud.run.v1.ReplaceServiceRequest","service":{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"api","namespace":"<@project>","annotations":{"client.knative.dev/user-image":"gcr.io/<@project>/api:<hex 7>"}},"spec":{"template":{"spec":{"containerConcurrency":80,"timeoutSeconds":300,"containers":[<*1 2>{"image":"gcr.io/<@project>/<pick api|proxy>:<hex 7>"}<)>]}}}}}"#,
    ),
    (
        0,
        3,
        "logging.googleapis.com",
        "google.logging.v2.ConfigServiceV2.UpdateSink",
        "logging.sinks.update",
        "projects/<@project>/sinks/<pick audit|flows>",
        "logging_sink",
        r#","request":{"@type":"type.googleapis.com/google.logging.v2.UpdateSinkRequest","sinkName":"projects/<@project>/sinks/audit","sink":{"destination":"storage.googleapis.com/<bucket>","filter":"logName:cloudaudit.googleapis.com"}}"#,
    ),
    (
        1,
        30,
        "storage.googleapis.com",
        "storage.objects.get",
        "storage.objects.get",
        "projects/_/buckets/<bucket>/objects/<object>",
        "gcs_bucket",
        "",
    ),
    (
        1,
        14,
        "storage.googleapis.com",
        "storage.objects.list",
        "storage.objects.list",
        "projects/_/buckets/<bucket>",
        "gcs_bucket",
        "",
    ),
    (
        1,
        10,
        "storage.googleapis.com",
        "storage.objects.create",
        "storage.objects.create",
        "projects/_/buckets/<bucket>/objects/<object>",
        "gcs_bucket",
        "",
    ),
    (
        1,
        14,
        "bigquery.googleapis.com",
        "google.cloud.bigquery.v2.JobService.InsertJob",
        "bigquery.jobs.create",
        "projects/<@project>/jobs/<uuid>",
        "bigquery_project",
        r#","metadata":{"@type":"type.googleapis.com/google.cloud.audit.BigQueryAuditMetadata","jobInsertion":{"job":{"jobName":"projects/<@project>/jobs/<uuid>","jobConfig":{"type":"QUERY","queryConfig":{"query":"SELECT * FROM `<@project>.<dataset>.<pick orders|users|clicks>` WHERE day = '<iso 0>' LIMIT <int 10 1000>","priority":"QUERY_<pick INTERACTIVE|BATCH>","statementType":"SELECT"}},"jobStatus":{"jobState":"<pick DONE|RUNNING>"},"jobStats":{"createTime":"<iso 3>Z","queryStats":{"totalProcessedBytes":"<log 1000 90000000000>"}}},"reason":"JOB_INSERT_REQUEST"}}"#,
    ),
    (
        1,
        8,
        "bigquery.googleapis.com",
        "google.cloud.bigquery.v2.TableDataService.List",
        "bigquery.tables.getData",
        "projects/<@project>/datasets/<dataset>/tables/<pick orders|users>",
        "bigquery_dataset",
        r#","metadata":{"@type":"type.googleapis.com/google.cloud.audit.BigQueryAuditMetadata","tableDataRead":{"fields":[<*1 6>"<pick id|email|total|created_at|country>"<)>],"reason":"TABLEDATA_LIST_REQUEST"}}"#,
    ),
    (
        1,
        10,
        "secretmanager.googleapis.com",
        "google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion",
        "secretmanager.versions.access",
        "projects/<@project>/secrets/<secret>/versions/<int 1 9>",
        "audited_resource",
        r#","request":{"@type":"type.googleapis.com/google.cloud.secretmanager.v1.AccessSecretVersionRequest","name":"projects/<@project>/secrets/<secret>/versions/latest"}"#,
    ),
    (
        1,
        10,
        "compute.googleapis.com",
        "v1.compute.instances.list",
        "compute.instances.list",
        "projects/<@project>",
        "gce_instance",
        r#","request":{"@type":"type.googleapis.com/compute.instances.list"},"numResponseItems":"<int 0 60>""#,
    ),
    (
        1,
        8,
        "iamcredentials.googleapis.com",
        "GenerateAccessToken",
        "iam.serviceAccounts.getAccessToken",
        "projects/-/serviceAccounts/<account.1>",
        "service_account",
        r#","request":{"@type":"type.googleapis.com/google.iam.credentials.v1.GenerateAccessTokenRequest","name":"projects/-/serviceAccounts/<account>","scope":["https://www.googleapis.com/auth/cloud-platform"]}"#,
    ),
    (
        1,
        6,
        "cloudkms.googleapis.com",
        "Decrypt",
        "cloudkms.cryptoKeyVersions.useToDecrypt",
        "projects/<@project>/locations/global/keyRings/app/cryptoKeys/<pick db|files>",
        "cloudkms_cryptokey",
        r#","request":{"@type":"type.googleapis.com/google.cloud.kms.v1.DecryptRequest","name":"projects/<@project>/locations/global/keyRings/app/cryptoKeys/db"}"#,
    ),
    (
        1,
        8,
        "cloudresourcemanager.googleapis.com",
        "GetIamPolicy",
        "resourcemanager.projects.getIamPolicy",
        "projects/<@project>",
        "project",
        r#","request":{"@type":"type.googleapis.com/google.iam.v1.GetIamPolicyRequest","resource":"<@project>"}"#,
    ),
    (
        2,
        5,
        "compute.googleapis.com",
        "compute.instances.<pick migrateOnHostMaintenance|automaticRestart|preempted>",
        "compute.instances.update",
        "projects/<@project>/zones/<zone>/instances/<vm>",
        "gce_instance",
        r#","request":{"@type":"type.googleapis.com/<pick compute.instances.migrateOnHostMaintenance|compute.instances.preempted>"}"#,
    ),
    (
        2,
        3,
        "compute.googleapis.com",
        "compute.instanceGroupManagers.resizeAdvanced",
        "compute.instanceGroupManagers.update",
        "projects/<@project>/zones/<zone>/instanceGroupManagers/gke-core",
        "gce_instance_group_manager",
        "",
    ),
];

/// The attack's grant: the stolen account gives an account of its own the project.
const TAKEOVER: Method = (
    0,
    0,
    "cloudresourcemanager.googleapis.com",
    "SetIamPolicy",
    "resourcemanager.projects.setIamPolicy",
    "projects/<@project>",
    "project",
    r#","serviceData":{"@type":"type.googleapis.com/google.iam.v1.logging.AuditData","policyDelta":{"bindingDeltas":[{"action":"ADD","role":"roles/owner","member":"user:<@email>"}]}},"request":{"@type":"type.googleapis.com/google.iam.v1.SetIamPolicyRequest","resource":"<@project>","policy":{"bindings":[{"role":"roles/owner","members":["user:<@email>"]}],"etag":"<base64 11>="}},"response":{"@type":"type.googleapis.com/google.iam.v1.Policy","bindings":[{"role":"roles/owner","members":["user:<@email>"]}],"etag":"<base64 11>="}"#,
);

/// Writes all files of the source.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let weights = LOGS.map(|log| log.1);
    let mut logs: Vec<Log> = Vec::new();
    for slot in hourly(job.span, &weights, job.bytes, FILE_BYTES_MIN) {
        while logs.len() <= slot.lane {
            logs.push(Log::new(job.world, logs.len())?);
        }
        let at = civil(slot.from_ms);
        let name = format!(
            "gcp/cloudaudit.googleapis.com/{}/{}/{}_S0.json",
            LOGS[slot.lane].0,
            at.strftime("%Y/%m/%d"),
            at.strftime("%H:00:00_%H:59:59")
        );
        sink.file(&slot, &name, Frame::LINES, &mut logs[slot.lane])?;
    }
    Ok(())
}

/// A method's weight and parsed texts, in the order of [`METHOD_VARS`].
type Parsed = (u32, [Template; 6]);

/// Variables that say what is called.
const METHOD_VARS: [&str; 6] = ["service", "method", "permission", "resource", "type", "request"];

fn parse_method(method: &Method) -> Result<Parsed> {
    let parse = |text: &str| Template::parse(text, &NAMES);
    let (_, weight, service, name, permission, resource, kind, rest) = method;
    Ok((
        *weight,
        [parse(service)?, parse(name)?, parse(permission)?, parse(resource)?, parse(kind)?, parse(rest)?],
    ))
}

/// One audit log, of all projects.
struct Log {
    log: usize,
    scenes: Vec<Scene>,
    entry: Template,
    methods: Vec<Parsed>,
    takeover: Parsed,
    person: Template,
    account: Template,
    addresses: [Template; 2],
    agent: Template,
    story: Story,
}

impl Log {
    fn new(world: &World, log: usize) -> Result<Self> {
        let scene = |(at, project): (usize, &String)| -> Result<Scene> {
            let mut rng = world.rng("gcp.audit", log * 100 + at);
            let people = world.people_pool(&mut rng);
            let mut scene = Scene::new(NAMES, rng, &[("project", project), ("log", LOGS[log].0)])?;
            scene.fill("person", people)?;
            Ok(scene)
        };
        let parse = |text: &str| Template::parse(text, &NAMES);
        Ok(Self {
            log,
            scenes: world.projects.iter().enumerate().map(scene).collect::<Result<_>>()?,
            entry: parse(ENTRY)?,
            methods: METHODS
                .iter()
                .filter(|method| method.0 == log)
                .map(parse_method)
                .collect::<Result<_>>()?,
            takeover: parse_method(&TAKEOVER)?,
            person: parse("<person.1>")?,
            account: parse("<account>")?,
            addresses: [
                parse("<?85><person.6><:><?30><ip6><:><ip><)><)>")?,
                parse("<(><ip10><|><ip><|>private<)>")?,
            ],
            agent: parse("<agent>")?,
            story: Story::new(world),
        })
    }

    fn entry(&mut self, scene: usize, takeover: bool, out: &mut Vec<u8>) -> Result<()> {
        let scene = &mut self.scenes[scene];
        let total: u32 = self.methods.iter().map(|method| method.0).sum();
        let mut at = scene.rng.u32(..total);
        let method = self.methods.iter().find(|method| {
            let hit = at < method.0;
            at = at.saturating_sub(method.0);
            hit
        });
        let method = if takeover { &self.takeover } else { method.context("no methods")? };
        for (name, template) in METHOD_VARS.iter().zip(&method.1) {
            let value = scene.text(template);
            scene.set(name, &value)?;
        }
        scene.render(&self.entry, out);
        Ok(())
    }
}

impl Stream for Log {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let count = self.scenes.len();
        let at = self.scenes[0].rng.usize(..count);
        let scene = &mut self.scenes[at];
        scene.begin(now_ms);
        let human = self.log != 2 && scene.rng.u8(..100) < 40;
        let email = match (self.log, human) {
            (2, _) => "system@google.com".to_owned(),
            (_, true) => scene.text(&self.person),
            (_, false) => scene.text(&self.account),
        };
        let address = scene.text(&self.addresses[usize::from(!human)]);
        let agent = scene.text(&self.agent);
        scene.set("email", &email)?;
        scene.set("address", &address)?;
        scene.set("agent", &agent)?;
        scene.set("human", if human { "1" } else { "" })?;
        let denied = self.log != 2 && scene.rng.u8(..100) < 5;
        scene.set("denied", if denied { "1" } else { "" })?;
        self.entry(at, false, out)
    }

    fn attack(&mut self, _step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let scene = &mut self.scenes[0];
        scene.begin(now_ms);
        scene.set("email", &self.story.person.email)?;
        scene.set("address", &self.story.ip)?;
        scene.set(
            "agent",
            "google-cloud-sdk gcloud/460.0.0 command/gcloud.projects.add-iam-policy-binding,gzip(gfe)",
        )?;
        scene.set("human", "1")?;
        scene.set("denied", "")?;
        self.entry(0, true, out)
    }
}
