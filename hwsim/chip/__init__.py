"""What a chip is above its cores: the core model they share, their network, and the placement of layers on them."""
