module vault-helper/test/rotation

go 1.26.0
