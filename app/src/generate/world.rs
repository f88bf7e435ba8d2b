//! The invented company whose clouds are logged: its people, accounts, subscriptions and projects.

use fastrand::Rng;

use super::scene::{public_ip, random, uuid};

const FIRST: [&str; 24] = [
    "Aisha", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kenji",
    "Lucía", "Mira", "Nils", "Olga", "Pavel", "Quinn", "Ravi", "Søren", "Thea", "Umar", "Vera", "Wanda",
    "Yara",
];
const LAST: [&str; 20] = [
    "Abadi",
    "Bauer",
    "Costa",
    "Dahl",
    "Eriksen",
    "Fontana",
    "Gupta",
    "Horvat",
    "Ito",
    "Jansen",
    "Keller",
    "Lindqvist",
    "Moreau",
    "Nowak",
    "Okafor",
    "Petrov",
    "Rahman",
    "Sato",
    "Tran",
    "Weiss",
];

/// Regions of the account lanes with the share of an account's activity.
const REGIONS: [(&str, f64); 4] =
    [("us-east-1", 0.5), ("eu-west-1", 0.25), ("eu-central-1", 0.15), ("us-west-2", 0.1)];

const ACCOUNTS: usize = 9;
const SUBSCRIPTIONS: usize = 4;
const PROJECTS: usize = 4;
const PEOPLE: usize = 80;

/// One employee, the same in all clouds.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) given: &'static str,
    pub(super) family: &'static str,
    /// User name: `given.family`, lower case ASCII.
    pub(super) user: String,
    pub(super) email: String,
    /// Object id in Entra.
    pub(super) id: String,
    /// Usual address.
    pub(super) ip: String,
}

impl Person {
    /// As a value of the pool `person`: user, email, name, id, given, family and address.
    pub(super) fn pool_value(&self) -> String {
        let Self { given, family, user, email, id, ip } = self;
        format!("{user}|{email}|{given} {family}|{id}|{given}|{family}|{ip}")
    }
}

/// The pool that every source fills with the company's people.
pub(super) const PERSON: (&str, usize, &str) = ("person", 0, "");

/// An account in a region.
#[derive(Debug, Clone)]
pub(super) struct AwsLane {
    pub(super) account: String,
    pub(super) region: &'static str,
    pub(super) weight: f64,
}

/// Everything that the sources share, from one seed.
#[derive(Debug, Clone)]
pub(super) struct World {
    seed: u64,
    pub(super) people: Vec<Person>,
    /// Busiest first; the first is the attacked one.
    pub(super) aws: Vec<AwsLane>,
    /// Entra tenant id.
    pub(super) tenant: String,
    pub(super) subscriptions: Vec<String>,
    pub(super) projects: Vec<String>,
}

impl World {
    /// The company of this seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let people = (0..PEOPLE).map(|at| person(at, &mut rng)).collect();
        let accounts: Vec<String> =
            (0..ACCOUNTS).map(|_| format!("{}", rng.u64(10_u64.pow(11)..10_u64.pow(12)))).collect();
        let lane = |(at, account): (usize, &String), (region, share): (&'static str, f64)| AwsLane {
            account: account.clone(),
            region,
            weight: share / (at + 1) as f64,
        };
        let mut aws: Vec<AwsLane> = accounts
            .iter()
            .enumerate()
            .flat_map(|account| REGIONS.map(|region| lane(account, region)))
            .collect();
        aws.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        Self {
            seed,
            people,
            aws,
            tenant: id(&mut rng),
            subscriptions: (0..SUBSCRIPTIONS).map(|_| id(&mut rng)).collect(),
            projects: (0..PROJECTS).map(|at| project(at, &mut rng)).collect(),
        }
    }

    /// Random numbers of one lane of one source: the same whatever else is written.
    pub(super) fn rng(&self, source: &str, lane: usize) -> Rng {
        let hash = source.bytes().fold(self.seed ^ 0x517c_c1b7_2722_0a95, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Rng::with_seed(hash.wrapping_add((lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Values of the pool [`PERSON`], in an order of its own for each lane.
    pub(super) fn people_pool(&self, rng: &mut Rng) -> Vec<String> {
        let mut values: Vec<String> = self.people.iter().map(Person::pool_value).collect();
        rng.shuffle(&mut values);
        values
    }
}

fn person(at: usize, rng: &mut Rng) -> Person {
    // Steps without a common divisor with the lists' lengths: no name comes twice.
    let (given, family) = (FIRST[at * 7 % FIRST.len()], LAST[(at * 3 + at / 24) % LAST.len()]);
    let ascii = |name: &str| name.to_lowercase().replace('í', "i").replace('ø', "o");
    let user = format!("{}.{}", ascii(given), ascii(family));
    let email = format!("{user}@example.com");
    Person { given, family, user, email, id: id(rng), ip: public_ip(rng) }
}

fn project(at: usize, rng: &mut Rng) -> String {
    let name = ["shop-prod", "data-platform", "ml-research", "shared-tools"][at % 4];
    let mut digits = Vec::new();
    random(rng, b"0123456789", 6, &mut digits);
    format!("{name}-{}", String::from_utf8_lossy(&digits))
}

fn id(rng: &mut Rng) -> String {
    let mut out = Vec::new();
    uuid(rng, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
