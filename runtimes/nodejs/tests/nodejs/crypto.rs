//! Cryptography that comes from AWS-LC by its C names, against vectors from the standards and a key from OpenSSL:
//! `third_party/deno/aws-lc-sys` decides which version of it that is.

use crate::support::Function;

#[test]
fn ciphers_and_keys_are_those_of_the_standards() {
    let function = Function::evaluating(
        r"
const crypto = require('crypto')
const hex = (text) => Buffer.from(text, 'hex')
const run = (cipher, text) => cipher.update(text, undefined, 'hex') + cipher.final('hex')
const sealed = (key, nonce, more, text) => {
  const cipher = crypto.createCipheriv('chacha20-poly1305', hex(key), hex(nonce), { authTagLength: 16 })
  cipher.setAAD(hex(more))
  return run(cipher, text).slice(0, 16) + cipher.getAuthTag().toString('hex')
}",
    );
    for (name, expression, value) in [
        (
            "scrypt, RFC 7914",
            "crypto.scryptSync('password', 'NaCl', 64, { N: 1024, r: 8, p: 16 }).toString('hex')",
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
        ),
        (
            "key wrap, RFC 3394",
            "run(crypto.createCipheriv('aes128-wrap', hex('000102030405060708090a0b0c0d0e0f'), hex('a6a6a6a6a6a6a6a6')), hex('00112233445566778899aabbccddeeff'))",
            "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
        ),
        (
            "key unwrap, RFC 3394",
            "run(crypto.createDecipheriv('aes128-wrap', hex('000102030405060708090a0b0c0d0e0f'), hex('a6a6a6a6a6a6a6a6')), hex('1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'))",
            "00112233445566778899aabbccddeeff",
        ),
        (
            "ChaCha20-Poly1305, RFC 8439",
            "sealed('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f', '070000004041424344454647', '50515253c0c1c2c3c4c5c6c7', \"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.\")",
            "d31a8d34648e60db1ae10b594f09e26a7e902ecbd0600691",
        ),
        (
            "a signed key with a challenge, made by OpenSSL",
            "((key) => crypto.Certificate.verifySpkac(key) + ' ' + crypto.Certificate.exportChallenge(key))(Buffer.from('MIIBPzCBqTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAwGMCH51+qeaDagFWPLuO8kGXJk0ZkhpSnGZB6d+6NQGftmMtJVNcKsA6J/rmyEsF/zFgY7da4cTGDiNuiLpWJadGy4zj1LpdS4dEbkfpu+Iah51E4hbARquRPxnSXowiqe273LqjO/TumxYEQHf7RAmrWPchXFWszSWMTq/v2RUCAwEAARYFaGVsbG8wDQYJKoZIhvcNAQELBQADgYEAvzl2OcSMW3oqcz/N1ciQuD/Otl7lRxTXIjJVkvJs44N/leMGYyCzh4rxy0Q5IJJy1yk6yWYfYZ2w6e+LFFVNImRIKNpOnt5MJd3I4GuR9MTZiOiujz7V9yxpi+Moz2Q6HnJHtsLZDpkcEn/YxckY4jgYL6espaEGk2JEDuq/gTU='))",
            "true hello",
        ),
    ] {
        let answer = function.eval(expression);
        assert_eq!(answer.text(), value, "{name}\n{:?}", function.host);
    }
}
