"""Training of source networks: the loop, augmentation, the bit regulariser and native kernels. Needs the extra `hwsim[torch]`."""
