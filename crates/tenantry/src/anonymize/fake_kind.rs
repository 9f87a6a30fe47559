//! Kinds of invented values.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! fake_kinds {
    ($($(#[$docs:meta])* $variant:ident = $word:literal,)*) => {
        /// A kind of invented value. Words are English; domains and networks are those reserved for documentation
        /// ([RFC 2606](https://www.rfc-editor.org/rfc/rfc2606), [RFC 5737](https://www.rfc-editor.org/rfc/rfc5737),
        /// [RFC 3849](https://www.rfc-editor.org/rfc/rfc3849)).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum FakeKind {
            $($(#[$docs])* #[serde(rename = $word)] $variant,)*
        }

        impl FakeKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns its name in rules and templates.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

fake_kinds! {
    /// A first and a last name.
    Name = "name",
    /// A first name.
    FirstName = "first_name",
    /// A last name.
    LastName = "last_name",
    /// An e-mail address at `example.com`, `.net` or `.org`.
    Email = "email",
    /// A telephone number: a North American one that is reserved for fiction, or, if unique, one with the unassigned
    /// country code 999.
    Phone = "phone",
    /// A street with a number, a postcode and a city, on one line.
    Address = "address",
    /// A street with a number.
    Street = "street",
    /// A city.
    City = "city",
    /// A postcode of five digits.
    Postcode = "postcode",
    /// A country.
    Country = "country",
    /// A company.
    Company = "company",
    /// Words of no meaning, about as many characters as the value, at most 1,000.
    Text = "text",
    /// A user name.
    Username = "username",
    /// An address below `https://example.com`.
    Url = "url",
    /// An IPv4 address, or, if unique, an IPv6 address.
    Ip = "ip",
}

impl fmt::Display for FakeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
