"""What a chip is above its cores: the core model they share; later their network and the placement of layers on them."""
