"""Tables that are made of measured rows: scripts that write the YAML files of this room from the csv files beside them."""
