awk 'BEGIN { x = 1; for (i = 0; i < 5000; i++) { x = (x * 1103515245 + 12345) % 2147483648; printf "%d ", x } }' > data
for digest in md5 sha1 sha224 sha256 sha384 sha512 sha3-256 sha3-512 shake256 blake2b512 blake2s256 rmd160 sm3; do openssl dgst -$digest data; done
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
for cipher in aes-128-cbc aes-192-ctr aes-256-ecb aes-256-cfb aes-256-ofb aria-256-cbc camellia-256-ctr chacha20 des-ede3-cbc; do
  openssl enc -$cipher -K $key -iv 0f0e0d0c0b0a09080706050403020100 -in data -out secret 2> /dev/null
  echo "$cipher $(sha256sum < secret) $(openssl enc -d -$cipher -K $key -iv 0f0e0d0c0b0a09080706050403020100 -in secret 2> /dev/null | cmp - data && echo back)"
done
openssl mac -cipher aes-256-cbc -macopt hexkey:$key -in data CMAC
openssl mac -macopt hexkey:$key -in data Poly1305
openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt key:secret -kdfopt salt:salt -kdfopt info:label HKDF
openssl kdf -keylen 32 -kdfopt pass:p -kdfopt salt:s -kdfopt n:1024 -kdfopt r:8 -kdfopt p:1 SCRYPT
openssl prime 170141183460469231731687303715884105727
for algorithm in 'RSA -pkeyopt rsa_keygen_bits:2048' 'EC -pkeyopt ec_paramgen_curve:P-256' 'EC -pkeyopt ec_paramgen_curve:P-521' ED25519 ED448; do
  openssl genpkey -algorithm $algorithm -out key.pem 2> /dev/null
  openssl pkey -in key.pem -pubout -out public.pem
  openssl pkeyutl -sign -inkey key.pem -rawin -in data -out signature
  openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in data -sigfile signature
  openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in key.pem -sigfile signature
done
