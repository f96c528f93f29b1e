/**
 * Programs in other languages that the installation runs.
 *
 * @since 0.1.0
 */

/**
 * Takes the libraries and headers out of a wheel of TensorFlow and checks each file against the SHA-256 of the wheel's
 * RECORD. Arguments: the wheel, the directory to extract to.
 *
 * @category constants
 * @since 0.1.0
 */
export const extractWheel = `
import base64, csv, hashlib, io, os, sys, zipfile
wheel, out = sys.argv[1:3]
with zipfile.ZipFile(wheel) as z:
    names = z.namelist()
    record = next(n for n in names if n.endswith(".dist-info/RECORD"))
    sums = {r[0]: r[1] for r in csv.reader(io.TextIOWrapper(z.open(record), "utf-8")) if r}
    wanted = [n for n in names if n.startswith("tensorflow/libtensorflow") or n.startswith("tensorflow/include/")]
    for n in wanted:
        if n.endswith("/"): continue
        path = os.path.join(out, *n.split("/")[1:])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        digest = hashlib.sha256()
        with z.open(n) as source, open(path, "wb") as target:
            while True:
                piece = source.read(1 << 20)
                if not piece: break
                digest.update(piece)
                target.write(piece)
        expected = sums.get(n, "")
        found = "sha256=" + base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        if expected and expected != found:
            sys.exit("checksum of %s is %s, expected %s" % (n, found, expected))
print(sum(1 for n in wanted))
`

/**
 * Prints the directory of an installed TensorFlow without importing it.
 *
 * @category constants
 * @since 0.1.0
 */
export const findTensorFlow = `
import importlib.util, os
spec = importlib.util.find_spec("tensorflow")
print(os.path.dirname(spec.origin) if spec and spec.origin else "")
`

/**
 * Loads the installed package and multiplies two matrices. Argument: the package's directory.
 *
 * @category constants
 * @since 0.1.0
 */
export const tryBackend = `
const util = require("util")
if (!util.isNullOrUndefined) util.isNullOrUndefined = (x) => x === null || x === undefined
if (!util.isArray) util.isArray = Array.isArray
const tf = require(process.argv[1])
const x = tf.ones([64, 64])
const sum = tf.sum(tf.matMul(x, x)).dataSync()[0]
if (tf.getBackend() !== "tensorflow" || sum !== 64 ** 3) throw new Error("a product of matrices is wrong: " + sum)
console.log("works with TensorFlow " + tf.backend().binding.TF_Version)
`
