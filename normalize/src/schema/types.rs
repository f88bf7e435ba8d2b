//! The OCSF types of scalar values, and what each is in JSON.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error};

/// What a type is in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// A string.
    String,
    /// A number without a fraction.
    Integer,
    /// A number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// Any value.
    Json,
    /// A record of the schema.
    Object,
}

macro_rules! types {
    ($($variant:ident $name:literal $base:ident $doc:literal;)*) => {
        /// An OCSF type. Displays as the schema's name for it, for example `ip_t`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Type {
            $(#[doc = $doc] $variant,)*
        }

        impl Type {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The schema's name, for example `ip_t`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the type is in JSON.
            pub const fn base(self) -> Base {
                match self { $(Self::$variant => Base::$base,)* }
            }
        }
    };
}

types! {
    Boolean "boolean_t" Boolean "True or false.";
    Bytestring "bytestring_t" String "Bytes in base64.";
    Datetime "datetime_t" String "A moment in RFC 3339.";
    Email "email_t" String "An email address.";
    FileHash "file_hash_t" String "A file's digest.";
    FileName "file_name_t" String "A file's name.";
    FilePath "file_path_t" String "A file's path.";
    Float "float_t" Float "A real number.";
    Hostname "hostname_t" String "A host's name.";
    Integer "integer_t" Integer "A 32-bit integer.";
    Ip "ip_t" String "An IPv4 or IPv6 address.";
    Json "json_t" Json "Any JSON value.";
    Long "long_t" Integer "A 64-bit integer.";
    Mac "mac_t" String "A MAC address.";
    Object "object_t" Object "A record of the schema.";
    Port "port_t" Integer "A port, 0 to 65535.";
    ProcessName "process_name_t" String "A process's name.";
    RegKeyPath "reg_key_path_t" String "A path in the Windows registry.";
    ResourceUid "resource_uid_t" String "An identifier of a resource.";
    String "string_t" String "Text.";
    Subnet "subnet_t" String "A subnet in CIDR notation.";
    Timestamp "timestamp_t" Integer "Milliseconds since 1970 (UTC).";
    Url "url_t" String "A URL.";
    Username "username_t" String "A user's name.";
    Uuid "uuid_t" String "A UUID.";
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <&str>::deserialize(deserializer)?;
        let known = Self::ALL.iter().find(|ty| ty.name() == name);
        known.copied().ok_or_else(|| D::Error::custom(format_args!("unknown type `{name}`")))
    }
}
