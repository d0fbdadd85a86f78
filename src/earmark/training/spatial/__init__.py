"""Features learned from the reconstruction of MFCC and a clip's place among others (Humayun, Yassin and Abas 2021)."""
