//! Connection tokens: JWTs under HS256, as servers of this protocol take them.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Signs connection tokens.
#[derive(Debug)]
pub struct Signer {
    key: hmac::Key,
    /// When the tokens end, in seconds since the Unix epoch.
    expires_at: i64,
}

impl Signer {
    /// A signer with this key.
    pub fn new(secret: &str, expires_at: i64) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            expires_at,
        }
    }

    /// The token of user `user`.
    pub fn token(&self, user: &str) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = format!(r#"{{"sub":"{user}","exp":{}}}"#, self.expires_at);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_jwt_under_hs256() {
        let token = Signer::new("secret", 4_000_000_000).token("ann");
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            unreachable!("three parts")
        };
        let decoded = |part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(decoded(header), r#"{"alg":"HS256","typ":"JWT"}"#);
        assert_eq!(decoded(claims), r#"{"sub":"ann","exp":4000000000}"#);
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        hmac::verify(&key, format!("{header}.{claims}").as_bytes(), &signature).unwrap();
    }
}
