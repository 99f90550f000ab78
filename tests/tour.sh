#!/usr/bin/env bash
# The tour of the README, step by step, against a house of its own. Usage: tests/tour.sh path/to/infirmary
set -euo pipefail
infirmary=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
port=$((20000 + $$ % 20000))
api=http://127.0.0.1:$port
INFIRMARY_DATA_DIR=$folder/data INFIRMARY_LISTEN=127.0.0.1:$port "$infirmary" demo >"$folder/demo.txt" 2>"$folder/log.txt" &
server=$!
end() {
    kill -TERM $server 2>/dev/null && wait $server || true
    rm -rf "$folder"
}
trap end EXIT
fail() {
    echo "tour: $1" >&2
    tail -5 "$folder/log.txt" >&2
    exit 1
}
for _ in $(seq 600); do
    curl -sf $api/health/ready >/dev/null && break
    kill -0 $server 2>/dev/null || fail "the server ended"
    sleep 0.1
done
json='Content-Type: application/json'
sign_in() {
    curl -sf $api/v1/auth/login -H "$json" -d "{\"email\":\"$1\",\"password\":\"plum trees by the north gate\"}" | jq -er .accessToken
}
doctor="Authorization: Bearer $(sign_in doctor@demo.infirmary.example)" || fail "the doctor cannot sign in"
accountant="Authorization: Bearer $(sign_in accountant@demo.infirmary.example)" || fail "the accountant cannot sign in"

patient=$(curl -sf -H "$doctor" "$api/v1/patients?q=ami" | jq -er '.items[0].id') || fail "no patient is found"

study="{\"patientId\":\"$patient\",\"modality\":\"CT\",\"disease\":\"Pneumonia\",\"findings\":\"Opacity in the left lower lobe.\",\"conditions\":\"\",\"confirmed\":true}"
upload() {
    curl -sf -H "$doctor" -H 'Idempotency-Key: tour-1' $api/v1/studies -F "study=$study;type=application/json" \
        -F image=@tests/fixtures/dicom/CT_small.dcm -F image=@tests/fixtures/images/phantom.png -F image=@tests/fixtures/images/turned.jpg
}
upload >"$folder/study.json" || fail "the study was not taken"
upload | cmp -s - "$folder/study.json" || fail "the same key gave another answer"
[ "$(jq '[(.images | length), (.charges | length)] == [3, 1]' "$folder/study.json")" = true ] || fail "not three images and a charge"

diagnosis=$(jq -er .diagnosis.id "$folder/study.json")
for image in $(jq -er '.images[].id' "$folder/study.json"); do
    curl -sf -H "$doctor" "$api/v1/images/$image/preview?size=512" -o "$folder/preview.png" || fail "no preview"
    head -c 8 "$folder/preview.png" | cmp -s - <(printf '\x89PNG\r\n\x1a\n') || fail "a preview is not a PNG"
done
report=$(curl -sf -H "$doctor" -H "$json" $api/v1/reports -d "{\"diagnosisId\":\"$diagnosis\"}" | jq -er .id) || fail "no report"
curl -sf -H "$doctor" "$api/v1/reports/$report/pdf" -o "$folder/report.pdf" || fail "no PDF"
pdftotext "$folder/report.pdf" - | grep -q 'Opacity in the left lower lobe' || fail "the PDF does not say what was found"

owed=$(curl -sf -H "$accountant" "$api/v1/patients/$patient/summary" | jq -er .balance.amount)
pay() {
    curl -sf -H "$accountant" -H "$json" -H 'Idempotency-Key: tour-2' $api/v1/payments \
        -d "{\"patientId\":\"$patient\",\"amount\":{\"amount\":34900,\"currency\":\"GBP\"},\"method\":\"card\"}" | jq -er .id
}
[ "$(pay)" = "$(pay)" ] || fail "one key made two payments"
left=$(curl -sf -H "$accountant" "$api/v1/patients/$patient/summary" | jq -er .balance.amount)
[ $((owed - left)) = 34900 ] || fail "a payment of 34900 took $((owed - left)) off the balance"
curl -sf -H "$accountant" "$api/v1/patients/$patient/statement" | jq -e '.items | length > 2' >/dev/null || fail "no statement"
INFIRMARY_DATA_DIR=$folder/data "$infirmary" verify >"$folder/verify.txt" 2>&1 || fail "verify: $(cat "$folder/verify.txt")"
echo "tour: the house works, from the upload to the payment"
