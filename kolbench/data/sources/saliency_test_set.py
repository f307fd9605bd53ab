"""`data=ecssd`, `data=dut_omron`: salient objects that, by convention, are only tested on."""

from pathlib import Path

from kolbench.data import listing, paired


class SaliencyTestSet(paired.PairedSource):
    """Reads two folders of one set, pictures and binary masks of the same names; all are test pictures.

    ECSSD (Yan et al., 2013): 1,000 pictures. DUT-OMRON (Yang et al., 2013): 5,168.

    Args:
        root: the folder that holds both.
        data: name of the set, for messages and as one of `test_sets`.
        images, masks: what its folders are called.

    Raises:
        DataError: a folder is missing, or nothing matches.
    """

    def __init__(self, root: str | Path, data: str, images: str, masks: str) -> None:
        folder = listing.require_folder(root)
        pictures, truths = (
            listing.pictures_below(paired.folder_in(folder, name, data)) for name in (images, masks)
        )
        self.test_sets = (data,)
        super().__init__(folder, pictures, truths, {paired.TEST: pictures.keys()})
