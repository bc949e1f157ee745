"""Studies of approximations: vae-kl and vae-cavi."""
