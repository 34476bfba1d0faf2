"""ProxySPEX: boosted trees whose Fourier transform is read out exactly."""
